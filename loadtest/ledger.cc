#include "loadtest/ledger.h"

#include <algorithm>

namespace canopy::loadtest {

Faults& Faults::operator+=(const Faults& other) {
  lost += other.lost;
  lost_at_join += other.lost_at_join;
  incomplete += other.incomplete;
  repeated += other.repeated;
  out_of_order += other.out_of_order;
  unfiltered += other.unfiltered;
  misapplied += other.misapplied;
  corrupted += other.corrupted;
  return *this;
}

void Ledger::start() {
  std::fill(seen_.begin(), seen_.end(), 0);
  floor_.clear();
  again_.clear();
  cut_ = before_all;
  last_ = before_all;
  applied_ = 0;
  complete_ = false;
  written_.clear();
}

void Ledger::floor(std::uint32_t publisher, std::uint32_t counter) {
  if (publisher >= seen_.size()) {
    ++faults_.corrupted;
    return;
  }
  floor_.resize(seen_.size());
  if (floor_[publisher] != 0) ++faults_.repeated;
  seen_[publisher] = floor_[publisher] = counter;
}

void Ledger::cut(std::int64_t sequence) {
  cut_ = sequence;
  again_.resize(seen_.size());
}

bool Ledger::advances(std::uint32_t publisher, std::uint32_t counter) {
  const std::uint32_t seen = seen_[publisher];
  if (counter > seen) return true;
  if (counter == seen && !again_.empty() && !again_[publisher]) {
    again_[publisher] = true;
    return false;
  }
  ++(counter == seen ? faults_.repeated : faults_.out_of_order);
  return false;
}

void Ledger::catch_up(std::uint32_t publisher, std::uint32_t counter) {
  if (publisher >= seen_.size()) {
    ++faults_.corrupted;
    return;
  }
  if (!advances(publisher, counter)) return;
  if (complete_) overtaken_ += counter - seen_[publisher] - 1;
  seen_[publisher] = counter;
  ++applied_;
}

void Ledger::complete(std::vector<std::uint32_t> written) {
  complete_ = true;
  written_ = std::move(written);
}

// A live update that is not the next one.
void Ledger::judge(std::uint32_t publisher, std::uint32_t counter) {
  if (!advances(publisher, counter)) return;
  std::uint32_t& seen = seen_[publisher];
  const std::uint64_t missing = counter - seen - 1;
  const bool at_join = seen == (floor_.empty() ? 0 : floor_[publisher]);
  faults_.lost += missing;
  if (at_join) faults_.lost_at_join += missing;
  if (holes_.size() < max_holes) holes_.push_back({publisher, seen + 1, counter - 1, at_join});
  seen = counter;
  ++applied_;
}

void Ledger::finish(const Outcome& outcome, const std::vector<bool>& visible) {
  for (const Hole& hole : holes_) {
    const auto& doubtful = outcome.doubtful;
    const auto excused = static_cast<std::uint64_t>(
        std::upper_bound(doubtful.begin(), doubtful.end(), std::pair(hole.publisher, hole.last)) -
        std::lower_bound(doubtful.begin(), doubtful.end(), std::pair(hole.publisher, hole.first)));
    faults_.lost -= excused;
    if (hole.at_join) faults_.lost_at_join -= excused;
  }
  for (std::size_t i = 0; i < written_.size(); ++i) {
    if (visible[i] && seen_[i] < written_[i]) ++faults_.incomplete;
  }
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (visible[i] && seen_[i] < outcome.counters[i]) {
      faults_.lost += outcome.counters[i] - seen_[i];
    }
  }
}

bool Ledger::converged(const Outcome& outcome, const std::vector<bool>& visible) const {
  if (faults_.corrupted != 0) return false;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i] != (visible[i] ? outcome.counters[i] : 0)) return false;
  }
  return true;
}

}  // namespace canopy::loadtest
