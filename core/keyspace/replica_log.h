// The last entries of a partition over its epochs: committed ones, kept for replicas and proxies
// that missed them, and uncommitted ones. Pure; not thread-safe.
//
// A position is the revision of an entry, or the start of an epoch: (EPOCH, 0) comes after every
// entry of earlier epochs. Within an epoch revisions are contiguous. A new epoch follows the last
// entry before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "core/keyspace/log_entry.h"

namespace canopy::keyspace {

// An epoch as a log knows it. Two logs that know an epoch by the same lineage hold the same entries
// of it, as far as both reach.
struct EpochEnd {
  std::uint32_t epoch = 0;
  std::uint64_t lineage = 0;
  std::uint64_t last = 0;  // the counter of its last entry; 0: it has none

  bool operator==(const EpochEnd&) const = default;
};

class ReplicaLog {
 public:
  // How many epochs back a log can find its last common position with another log.
  static constexpr std::size_t max_epochs = 64;

  // What an entry takes beside its bytes: itself, and the update's object with its count.
  static constexpr std::size_t entry_bytes = sizeof(LogEntry) + sizeof(Update) + 16;

  struct Limits {
    std::size_t updates = 100'000;
    std::size_t bytes = std::size_t{16} << 20;
  };

  // Starts empty after the last position of `history`, whose epochs ascend.
  explicit ReplicaLog(Limits limits, std::vector<EpochEnd> history = {});

  void begin_epoch(std::uint32_t epoch, std::uint64_t lineage);
  // `entry` is the next of the last epoch.
  void append(LogEntry entry);
  // Takes back all after `position`, epochs included.
  void truncate(Revision position);
  // Forgets the oldest entries and epochs beyond the bounds, but no entry after `committed`.
  void trim(Revision committed);

  Revision last() const;
  // The one before the oldest entry: everything after it is here.
  Revision first() const { return first_; }
  // Whether everything after `position` is here, given that it is a position of this log.
  bool reaches(Revision position) const { return first_ <= position && position <= last(); }
  // Whether `position` is one of this log's, of the lineage that `lineage` names.
  bool knows(Revision position, std::uint64_t lineage) const;
  // Up to where this log and that of another replica hold the same: the last position of both; 0
  // when they have no epoch in common.
  Revision common(std::span<const EpochEnd> other) const;
  const std::vector<EpochEnd>& history() const { return history_; }
  std::vector<EpochEnd> history_up_to(Revision position) const;
  // The epoch that what follows `position` belongs to, be it an entry or a start; else the last
  // epoch, of which there is one.
  const EpochEnd& epoch_after(Revision position) const;

  // The entry that follows `position`; null: none.
  const LogEntry* after(Revision position) const;

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }  // of memory

 private:
  void forget_oldest();

  Limits limits_;
  std::vector<EpochEnd> history_;  // ascending
  std::deque<LogEntry> entries_;   // ascending
  Revision first_;
  std::size_t bytes_ = 0;
};

}  // namespace canopy::keyspace
