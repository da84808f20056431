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
  snapshot_.clear();
  resent_.clear();
  snapshot_sequence_ = no_sequence;
  last_ = no_sequence;
  applied_ = 0;
  synced_ = false;
  written_.clear();
}

void Ledger::on_snapshot_entry(std::uint32_t publisher, std::uint32_t counter) {
  if (publisher >= seen_.size()) {
    ++faults_.corrupted;
    return;
  }
  snapshot_.resize(seen_.size());
  if (snapshot_[publisher] != 0) ++faults_.repeated;
  seen_[publisher] = snapshot_[publisher] = counter;
}

void Ledger::on_snapshot_end(std::int64_t sequence) {
  snapshot_sequence_ = sequence;
  resent_.resize(seen_.size());
}

bool Ledger::advances(std::uint32_t publisher, std::uint32_t counter) {
  const std::uint32_t seen = seen_[publisher];
  if (counter > seen) return true;
  if (counter == seen && !resent_.empty() && !resent_[publisher]) {
    resent_[publisher] = true;
    return false;
  }
  ++(counter == seen ? faults_.repeated : faults_.out_of_order);
  return false;
}

void Ledger::on_catch_up(std::uint32_t publisher, std::uint32_t counter) {
  if (publisher >= seen_.size()) {
    ++faults_.corrupted;
    return;
  }
  if (!advances(publisher, counter)) return;
  if (synced_) overtaken_ += counter - seen_[publisher] - 1;
  seen_[publisher] = counter;
  ++applied_;
}

void Ledger::on_synced(std::vector<std::uint32_t> written) {
  synced_ = true;
  written_ = std::move(written);
}

void Ledger::on_gap(std::uint32_t publisher, std::uint32_t counter) {
  if (!advances(publisher, counter)) return;
  std::uint32_t& seen = seen_[publisher];
  const std::uint64_t missing = counter - seen - 1;
  const bool at_join = seen == (snapshot_.empty() ? 0 : snapshot_[publisher]);
  faults_.lost += missing;
  if (at_join) faults_.lost_at_join += missing;
  if (gaps_.size() < max_gaps) gaps_.push_back({publisher, seen + 1, counter - 1, at_join});
  seen = counter;
  ++applied_;
}

void Ledger::finish(const Outcome& outcome, const std::vector<bool>& visible) {
  for (const Gap& gap : gaps_) {
    const auto& unacknowledged = outcome.unacknowledged;
    const auto excused =
        static_cast<std::uint64_t>(std::upper_bound(unacknowledged.begin(), unacknowledged.end(),
                                                    std::pair(gap.publisher, gap.last)) -
                                   std::lower_bound(unacknowledged.begin(), unacknowledged.end(),
                                                    std::pair(gap.publisher, gap.first)));
    faults_.lost -= excused;
    if (gap.at_join) faults_.lost_at_join -= excused;
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
