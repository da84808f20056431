#include "core/keyspace/replica_log.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace canopy::keyspace {
namespace {

Revision end_of(const EpochEnd& epoch) { return {epoch.epoch, epoch.last}; }

Revision revision_of(const LogEntry& entry) { return entry.update->revision; }

std::size_t bytes_of(const LogEntry& entry) {
  return ReplicaLog::entry_bytes + entry.update->encoded().size() +
         (entry.request ? sizeof(AppliedRequest) + entry.request->client.size() : 0);
}

void cut(std::vector<EpochEnd>& history, Revision position) {
  while (!history.empty() && history.back().epoch > position.epoch()) history.pop_back();
  if (!history.empty() && history.back().epoch == position.epoch()) {
    history.back().last = std::min(history.back().last, position.counter());
  }
}

}  // namespace

ReplicaLog::ReplicaLog(Limits limits, std::vector<EpochEnd> history)
    : limits_(limits), history_(std::move(history)), first_(last()) {
  assert(std::ranges::is_sorted(history_, std::ranges::less_equal(), &EpochEnd::epoch));
}

void ReplicaLog::begin_epoch(std::uint32_t epoch, std::uint64_t lineage) {
  assert(history_.empty() || history_.back().epoch < epoch);
  history_.push_back({.epoch = epoch, .lineage = lineage});
}

void ReplicaLog::append(LogEntry entry) {
  assert(!history_.empty() && revision_of(entry) == last().next());
  ++history_.back().last;
  bytes_ += bytes_of(entry);
  entries_.push_back(std::move(entry));
}

std::vector<EpochEnd> ReplicaLog::history_up_to(Revision position) const {
  std::vector<EpochEnd> history = history_;
  cut(history, position);
  return history;
}

void ReplicaLog::truncate(Revision position) {
  cut(history_, position);
  while (!entries_.empty() && revision_of(entries_.back()) > position) {
    bytes_ -= bytes_of(entries_.back());
    entries_.pop_back();
  }
  first_ = std::min(first_, last());
}

void ReplicaLog::trim(Revision committed) {
  while (!entries_.empty() && revision_of(entries_.front()) <= committed &&
         (entries_.size() > limits_.updates || bytes_ > limits_.bytes)) {
    forget_oldest();
  }
  while (history_.size() > max_epochs) {
    const auto spare = std::find_if(history_.begin(), std::prev(history_.end()), [&](auto& epoch) {
      return epoch.epoch < committed.epoch() ||
             (epoch.last == 0 && epoch.epoch != committed.epoch());
    });
    if (spare == std::prev(history_.end())) return;
    while (!entries_.empty() && revision_of(entries_.front()).epoch() == spare->epoch) {
      forget_oldest();
    }
    history_.erase(spare);
  }
}

void ReplicaLog::forget_oldest() {
  bytes_ -= bytes_of(entries_.front());
  first_ = revision_of(entries_.front());
  entries_.pop_front();
}

Revision ReplicaLog::last() const {
  return history_.empty() ? Revision() : end_of(history_.back());
}

bool ReplicaLog::knows(Revision position, std::uint64_t lineage) const {
  const auto epoch = std::ranges::lower_bound(history_, position.epoch(), {}, &EpochEnd::epoch);
  return epoch != history_.end() && epoch->epoch == position.epoch() && epoch->lineage == lineage &&
         position.counter() <= epoch->last;
}

Revision ReplicaLog::common(std::span<const EpochEnd> other) const {
  auto mine = history_.rbegin();
  for (auto theirs = other.rbegin(); theirs != other.rend(); ++theirs) {
    while (mine != history_.rend() && mine->epoch > theirs->epoch) ++mine;
    if (mine == history_.rend()) break;
    if (mine->epoch == theirs->epoch && mine->lineage == theirs->lineage) {
      return {mine->epoch, std::min(mine->last, theirs->last)};
    }
  }
  return {};
}

const EpochEnd& ReplicaLog::epoch_after(Revision position) const {
  const auto epoch = std::ranges::upper_bound(history_, position, {}, end_of);
  return epoch == history_.end() ? history_.back() : *epoch;
}

const LogEntry* ReplicaLog::after(Revision position) const {
  // In the last epoch, where most are asked for, an entry is found by counting from the end.
  const Revision end = last();
  if (position.epoch() == end.epoch() && position <= end) {
    const std::uint64_t behind = end.counter() - position.counter();
    if (behind == 0) return nullptr;
    if (behind <= entries_.size()) return &entries_[entries_.size() - behind];
  }
  const auto entry = std::ranges::upper_bound(entries_, position, {}, revision_of);
  return entry == entries_.end() ? nullptr : &*entry;
}

}  // namespace canopy::keyspace
