// The status of each partition, from the directory: its record, and the states of its replicas that
// the shards announce. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/cluster/partition_record.h"
#include "core/wire/member.h"

namespace canopy::coordination {

struct ReplicaStatus {
  std::string shard{};
  std::string state{};  // as in wire::PartitionState; "down" where the shard is absent
};

struct PartitionStatus {
  std::optional<cluster::PartitionRecord> record{};  // absent: it has had no leader yet
  std::vector<ReplicaStatus> replicas{};

  // The shard that the record names as leader and that announces that it serves; empty: none.
  std::string leader() const;
  std::uint32_t epoch() const { return record ? record->epoch : 0; }
  std::vector<std::string> in_sync() const;  // names of shards
  // Why the partition has less redundancy than configured; empty when it has not.
  std::string trouble() const;
};

using PartitionStatuses = std::map<std::string, PartitionStatus>;  // by subtree; "" is the root

// Adds the replicas of a shard that is present, or of one that is absent.
void add_replicas(PartitionStatuses& statuses, const wire::ShardMember& shard);

}  // namespace canopy::coordination
