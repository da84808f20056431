#include "loadtest/ledger.h"

#include <algorithm>

namespace canopy::loadtest {

Faults& Faults::operator+=(const Faults& other) {
  lost += other.lost;
  lost_at_join += other.lost_at_join;
  repeated += other.repeated;
  out_of_order += other.out_of_order;
  corrupted += other.corrupted;
  return *this;
}

void Ledger::start() {
  std::fill(seen_.begin(), seen_.end(), 0);
  std::fill(floor_.begin(), floor_.end(), 0);
  cut_ = before_all;
  last_ = before_all;
  applied_ = 0;
}

void Ledger::floor(std::uint32_t publisher, std::uint32_t counter) {
  if (publisher >= seen_.size()) {
    ++faults_.corrupted;
    return;
  }
  if (floor_[publisher] != 0) ++faults_.repeated;
  seen_[publisher] = floor_[publisher] = counter;
}

void Ledger::cut(std::int64_t sequence) { cut_ = sequence; }

// An update that is not the next one.
void Ledger::judge(std::uint32_t publisher, std::uint32_t counter) {
  std::uint32_t& seen = seen_[publisher];
  if (counter <= seen) {
    ++faults_.repeated;
    return;
  }
  const std::uint64_t missing = counter - seen - 1;
  faults_.lost += missing;
  if (seen == floor_[publisher]) faults_.lost_at_join += missing;
  seen = counter;
  ++applied_;
}

void Ledger::finish(const std::vector<std::uint32_t>& expected, const std::vector<bool>& visible) {
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (visible[i] && seen_[i] < expected[i]) {
      faults_.lost += expected[i] - seen_[i];
    }
  }
}

bool Ledger::converged(const std::vector<std::uint32_t>& expected,
                       const std::vector<bool>& visible) const {
  if (faults_.corrupted != 0) return false;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i] != (visible[i] ? expected[i] : 0)) return false;
  }
  return true;
}

}  // namespace canopy::loadtest
