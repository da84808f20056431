// The account of one client: which updates of which publisher it has received, and which faults.
// Pure; not thread-safe.
//
// Every publisher numbers its updates 1, 2, 3 … An incarnation of a client begins with start(). The
// rest depends on the protocol.
//
// Clone: the snapshot gives each publisher's counter, and on_snapshot_end() the sequence up to
// which it is complete. Live updates at or below this sequence do not count. The others must
// continue each publisher's counter, and their sequences must increase.
//
// Native: on_catch_up() counts the updates of a snapshot or resync, which may skip updates for
// later ones of the same key. Live updates must continue each publisher's counter.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace canopy::loadtest {

struct Faults {
  std::uint64_t lost = 0;          // updates that did not arrive and were not reported as missed
  std::uint64_t lost_at_join = 0;  // of these: missing between the snapshot and the first update
  std::uint64_t incomplete = 0;    // keys that a snapshot lacked although they were written before
  std::uint64_t repeated = 0;      // received twice
  std::uint64_t out_of_order = 0;  // sequence or counter below an earlier one; not applied
  std::uint64_t unfiltered = 0;    // under a key that the client does not watch
  std::uint64_t misapplied = 0;    // own writes applied twice, or not as acknowledged
  std::uint64_t corrupted = 0;     // malformed, under a wrong key, or written by another program

  Faults& operator+=(const Faults& other);
  friend bool operator==(const Faults&, const Faults&) = default;
};

// What the publishers had written at the end of the step.
struct Outcome {
  std::vector<std::uint32_t> counters{};  // the last update, per publisher
  // Updates (publisher, counter) that were refused or not answered. Clients need not receive them.
  // Sorted.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> unacknowledged{};
};

class Ledger {
 public:
  explicit Ledger(std::uint32_t publishers) : seen_(publishers) {}

  // Begins an incarnation: nothing received yet. Faults stay.
  void start();

  // Clone: an entry of the snapshot. A second one for the same publisher counts as repeated.
  void on_snapshot_entry(std::uint32_t publisher, std::uint32_t counter);
  // Clone: the end of the snapshot, complete up to `sequence`.
  void on_snapshot_end(std::int64_t sequence);
  // Clone: true when the live message is in order and above the snapshot's sequence.
  bool check_sequence(std::int64_t sequence) {
    if (sequence > last_) {
      last_ = sequence;
      return sequence > snapshot_sequence_;
    }
    ++(sequence == last_ ? faults_.repeated : faults_.out_of_order);
    return false;
  }

  // Native: an update of a snapshot or resync.
  void on_catch_up(std::uint32_t publisher, std::uint32_t counter);
  // Native: the end of the first snapshot. `written`: by publisher, the last update that was
  // acknowledged before the request. A proxy's copy may lag, so these updates may also follow live.
  void on_synced(std::vector<std::uint32_t> written);

  // A live update, in Clone one that has passed check_sequence().
  void on_update(std::uint32_t publisher, std::uint32_t counter) {
    if (publisher >= seen_.size()) {
      ++faults_.corrupted;
      return;
    }
    std::uint32_t& seen = seen_[publisher];
    if (counter != seen + 1) {
      on_gap(publisher, counter);
      return;
    }
    seen = counter;
    ++applied_;
  }

  void count_corrupted() { ++faults_.corrupted; }
  void count_unfiltered() { ++faults_.unfiltered; }

  // The end: missing updates are lost. `visible`, by publisher: whether the client watches its key.
  void finish(const Outcome& outcome, const std::vector<bool>& visible);
  // Whether the client's map is exactly the expected one and no update was corrupted.
  bool converged(const Outcome& outcome, const std::vector<bool>& visible) const;

  const Faults& faults() const { return faults_; }
  // Updates applied in this incarnation, without those of a Clone snapshot.
  std::uint64_t applied() const { return applied_; }
  // Updates that resyncs have skipped, over all incarnations.
  std::uint64_t overtaken() const { return overtaken_; }
  std::uint32_t counter_of(std::uint32_t publisher) const { return seen_[publisher]; }

 private:
  static constexpr std::int64_t no_sequence = std::numeric_limits<std::int64_t>::min();
  static constexpr std::size_t max_gaps = 1024;  // kept until finish(), which may excuse them

  struct Gap {
    std::uint32_t publisher = 0;
    std::uint32_t first = 0, last = 0;  // the missing counters
    bool at_join = false;
  };

  void on_gap(std::uint32_t publisher, std::uint32_t counter);
  // True when the counter is above the last one; counts a fault otherwise. Exception: a Clone
  // subscription that follows the snapshot gets each current value once more.
  bool advances(std::uint32_t publisher, std::uint32_t counter);

  std::vector<std::uint32_t> seen_;      // last counter per publisher; 0: none
  std::vector<std::uint32_t> snapshot_;  // counter per publisher; empty before the first entry
  std::vector<bool> resent_;  // Clone: current value received once more; empty before its end
  std::vector<Gap> gaps_;
  std::int64_t snapshot_sequence_ = no_sequence;
  std::int64_t last_ = no_sequence;
  std::uint64_t applied_ = 0;
  std::uint64_t overtaken_ = 0;
  std::vector<std::uint32_t> written_{};
  bool synced_ = false;
  Faults faults_;
};

}  // namespace canopy::loadtest
