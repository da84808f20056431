// The operations that a replica orders from its store, and what the store recovers at a start. Used
// as Replica::… (core/cluster/replica.h). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/cluster/partition_record.h"
#include "core/keyspace/replica_log.h"
#include "core/keyspace/splits.h"
#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"

namespace canopy::cluster::storage {

// What the store has recovered; default: nothing, the copy starts empty.
struct Recovered {
  keyspace::Tree tree{};
  keyspace::Splits splits{};
  std::vector<keyspace::AppliedRequest> requests{};
  keyspace::Revision committed{};
  std::vector<keyspace::LogEntry> tail{};            // after `committed`
  std::vector<keyspace::EpochEnd> history{};         // up to the end of the tail
  std::optional<PartitionRecord> record{};           // the last one that this replica acted on
  std::optional<keyspace::Tombstones> tombstones{};  // of a copy that was split off
};

// Storage operations, in order.
struct BeginEpoch {  // nothing of an earlier epoch is stored after it
  std::uint32_t epoch = 0;
  std::uint64_t lineage = 0;
};
struct StoreEntries {
  std::vector<keyspace::LogEntry> entries{};
  // They are committed once they are stored: no other replica has to store them.
  bool committed = false;
};
struct Truncate {
  keyspace::Revision to{};
};
// Entries up to here are committed: the store moves them from the tail to the tree. Need not be
// durable by itself. No split entry is among them.
struct Commit {
  keyspace::Revision to{};
};
// Commits up to the split entry, creates the copy of its subtree, and removes the subtree from this
// copy. The new copy has the same shard and identity. If the store has already opened a copy of the
// subtree, that one stays.
struct Split {
  keyspace::UpdatePtr entry{};
  keyspace::TreeView tree;
  std::vector<keyspace::UpdatePtr> splits{};  // below the subtree
  std::vector<keyspace::AppliedRequest> requests{};
  std::vector<keyspace::EpochEnd> history{};
};
// Replaces the whole copy.
struct Install {
  keyspace::TreeView tree;
  std::vector<keyspace::AppliedRequest> requests{};
  keyspace::Revision cut{};
  std::vector<keyspace::EpochEnd> history{};
  std::vector<keyspace::UpdatePtr> splits{};
};
struct Remember {
  PartitionRecord record{};
};
using Operation =
    std::variant<BeginEpoch, StoreEntries, Truncate, Commit, Split, Install, Remember>;

}  // namespace canopy::cluster::storage
