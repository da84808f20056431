// How each partition is doing, from what the directory says: its record, and the states that the
// shards announce of their replicas. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/cluster/partition_record.h"
#include "core/coordination/member.h"

namespace canopy::coordination {

struct ReplicaStatus {
  std::string shard{};
  std::string state{};  // as in PartitionState; "down" where the shard is absent
};

struct PartitionStatus {
  std::optional<cluster::PartitionRecord> record{};  // absent: nobody has led it yet
  std::vector<ReplicaStatus> replicas{};

  // The shard that leads it by the record and says that it serves; empty: none.
  std::string leader() const;
  std::uint32_t epoch() const { return record ? record->epoch : 0; }
  std::vector<std::string> in_sync() const;  // names of shards
  // Why it is not as safe as it is configured; empty when it is.
  std::string trouble() const;
};

using PartitionStatuses = std::map<std::string, PartitionStatus>;  // by subtree; "" is the root

// Takes the replicas of a shard that is there, or of one that is missed.
void add_replicas(PartitionStatuses& statuses, const ShardMember& shard);

}  // namespace canopy::coordination
