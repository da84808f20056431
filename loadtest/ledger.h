// The account of one client: which update of which publisher it has seen, and what was wrong.
// Pure; not thread-safe.
//
// Every publisher numbers its updates 1, 2, 3 … A client's life begins with start(); the snapshot
// sets the floor of each publisher, cut() ends it, and from then on the next update of a publisher
// must be its floor + 1, and so on. Sequences (the server's stamps) must strictly increase; what
// is at or below the cut is in the snapshot already and does not count.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace canopy::loadtest {

struct Faults {
  std::uint64_t lost = 0;          // updates that never came
  std::uint64_t lost_at_join = 0;  // of these: missing between the snapshot and the first update
  std::uint64_t repeated = 0;      // came again, after the cut
  std::uint64_t out_of_order = 0;  // came with a sequence below one seen before; not applied
  std::uint64_t corrupted = 0;     // malformed, under a wrong key, or written by someone else

  Faults& operator+=(const Faults& other);
  friend bool operator==(const Faults&, const Faults&) = default;
};

class Ledger {
 public:
  explicit Ledger(std::uint32_t publishers) : seen_(publishers), floor_(publishers) {}

  // A new life: nothing seen yet. Faults stay.
  void start();
  // An entry of the snapshot. A second one for the same publisher counts as repeated.
  void floor(std::uint32_t publisher, std::uint32_t counter);
  // The end of the snapshot.
  void cut(std::int64_t sequence);

  // Whether a live message counts: in order, and after the cut.
  bool accept(std::int64_t sequence) {
    if (sequence > last_) {
      last_ = sequence;
      return sequence > cut_;
    }
    ++(sequence == last_ ? faults_.repeated : faults_.out_of_order);
    return false;
  }

  // An accepted update.
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

  // The end: what is missing up to `expected` is lost. `visible` says which publishers' keys this
  // client watches; both have one element per publisher.
  void finish(const std::vector<std::uint32_t>& expected, const std::vector<bool>& visible);
  // Whether its map is exactly the expected one, and nothing foreign got into it.
  bool converged(const std::vector<std::uint32_t>& expected,
                 const std::vector<bool>& visible) const;

  const Faults& faults() const { return faults_; }
  // Live updates applied in this life.
  std::uint64_t applied() const { return applied_; }
  std::uint32_t counter_of(std::uint32_t publisher) const { return seen_[publisher]; }

 private:
  static constexpr std::int64_t before_all = std::numeric_limits<std::int64_t>::min();

  void judge(std::uint32_t publisher, std::uint32_t counter);

  std::vector<std::uint32_t> seen_;   // last counter per publisher; 0: none
  std::vector<std::uint32_t> floor_;  // what it was in the snapshot
  std::int64_t cut_ = before_all;
  std::int64_t last_ = before_all;
  std::uint64_t applied_ = 0;
  Faults faults_;
};

}  // namespace canopy::loadtest
