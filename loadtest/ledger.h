// The account of one client: which update of which publisher it has seen, and what was wrong.
// Pure; not thread-safe.
//
// Every publisher numbers its updates 1, 2, 3 … A client's life begins with start(). What follows
// depends on what its protocol promises:
//
// Clone: the snapshot sets the floor of each publisher, cut() ends it, and from then on the next
// update of a publisher must be its floor + 1, and so on. Sequences (the server's stamps) must
// strictly increase; what is at or below the cut is in the snapshot already and does not count.
//
// Native: catch_up() takes what is told as part of a snapshot or resync, which may skip updates
// that a later one of their key has overtaken. Live updates must follow on each other.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace canopy::loadtest {

struct Faults {
  std::uint64_t lost = 0;          // updates that never came, of which nobody told
  std::uint64_t lost_at_join = 0;  // of these: missing between the snapshot and the first update
  std::uint64_t incomplete = 0;    // keys that were not in a snapshot, although written before
  std::uint64_t repeated = 0;      // came again, after the cut
  std::uint64_t out_of_order = 0;  // of a sequence or counter below one seen before; not applied
  std::uint64_t unfiltered = 0;    // under a key that the client does not watch
  std::uint64_t misapplied = 0;    // own writes applied twice, or not as they were answered
  std::uint64_t corrupted = 0;     // malformed, under a wrong key, or written by someone else

  Faults& operator+=(const Faults& other);
  friend bool operator==(const Faults&, const Faults&) = default;
};

// What each publisher had written in the end.
struct Outcome {
  std::vector<std::uint32_t> counters{};  // the last update, per publisher
  // Updates (publisher, counter) that their writer got no answer to, or a refusal: they need not
  // come. Sorted.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> doubtful{};
};

class Ledger {
 public:
  explicit Ledger(std::uint32_t publishers) : seen_(publishers) {}

  // A new life: nothing seen yet. Faults stay.
  void start();

  // Clone: an entry of the snapshot. A second one for the same publisher counts as repeated.
  void floor(std::uint32_t publisher, std::uint32_t counter);
  // Clone: the end of the snapshot.
  void cut(std::int64_t sequence);
  // Clone: whether a live message counts: in order, and after the cut.
  bool accept(std::int64_t sequence) {
    if (sequence > last_) {
      last_ = sequence;
      return sequence > cut_;
    }
    ++(sequence == last_ ? faults_.repeated : faults_.out_of_order);
    return false;
  }

  // Native: an update told as part of a snapshot or resync.
  void catch_up(std::uint32_t publisher, std::uint32_t counter);
  // Native: the first snapshot is whole. `written`: what was acknowledged before it was asked for;
  // a proxy's copy may be a moment behind, so it may also come right after, as live updates.
  void complete(std::vector<std::uint32_t> written);

  // An accepted, live update.
  void apply(std::uint32_t publisher, std::uint32_t counter) {
    if (publisher >= seen_.size()) {
      ++faults_.corrupted;
      return;
    }
    std::uint32_t& seen = seen_[publisher];
    if (counter != seen + 1) {
      judge(publisher, counter);
      return;
    }
    seen = counter;
    ++applied_;
  }

  void corrupted() { ++faults_.corrupted; }
  void unfiltered() { ++faults_.unfiltered; }

  // The end: what is missing is lost. `visible` says which publishers' keys this client watches.
  void finish(const Outcome& outcome, const std::vector<bool>& visible);
  // Whether its map is exactly the expected one, and nothing foreign got into it.
  bool converged(const Outcome& outcome, const std::vector<bool>& visible) const;

  const Faults& faults() const { return faults_; }
  // Updates applied in this life, beside those of a Clone snapshot.
  std::uint64_t applied() const { return applied_; }
  // Updates that catching up after the snapshot has skipped, over all lives.
  std::uint64_t overtaken() const { return overtaken_; }
  std::uint32_t counter_of(std::uint32_t publisher) const { return seen_[publisher]; }

 private:
  static constexpr std::int64_t before_all = std::numeric_limits<std::int64_t>::min();
  static constexpr std::size_t max_holes = 1024;  // that the end may still excuse

  struct Hole {
    std::uint32_t publisher = 0;
    std::uint32_t first = 0, last = 0;  // the counters that did not come
    bool at_join = false;
  };

  void judge(std::uint32_t publisher, std::uint32_t counter);
  // Whether it is news; else a fault. But a Clone subscription that arrives after the snapshot was
  // taken is told the present values: each once more.
  bool advances(std::uint32_t publisher, std::uint32_t counter);

  std::vector<std::uint32_t> seen_;   // last counter per publisher; 0: none
  std::vector<std::uint32_t> floor_;  // what it was in the snapshot; empty before the first entry
  std::vector<bool> again_;           // Clone: told once more; empty before the cut
  std::vector<Hole> holes_;
  std::int64_t cut_ = before_all;
  std::int64_t last_ = before_all;
  std::uint64_t applied_ = 0;
  std::uint64_t overtaken_ = 0;
  std::vector<std::uint32_t> written_{};
  bool complete_ = false;  // the snapshot, told by complete()
  Faults faults_;
};

}  // namespace canopy::loadtest
