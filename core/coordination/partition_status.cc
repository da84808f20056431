#include "core/coordination/partition_status.h"

#include <algorithm>

namespace canopy::coordination {

std::string PartitionStatus::leader() const {
  const auto leads = [this](const ReplicaStatus& replica) {
    return record && replica.shard == record->leader.shard &&
           wire::PartitionState{.state = replica.state}.serves();
  };
  const auto found = std::ranges::find_if(replicas, leads);
  return found == replicas.end() ? std::string() : found->shard;
}

std::vector<std::string> PartitionStatus::in_sync() const {
  std::vector<std::string> shards;
  if (!record) return shards;
  for (const cluster::ReplicaId& replica : record->in_sync) shards.push_back(replica.shard);
  return shards;
}

std::string PartitionStatus::trouble() const {
  if (leader().empty()) return "not served";
  if (record->in_sync.size() >= replicas.size()) return "";
  return "in sync on " + std::to_string(record->in_sync.size()) + " of " +
         std::to_string(replicas.size()) + " replicas";
}

void add_replicas(PartitionStatuses& statuses, const wire::ShardMember& shard) {
  for (const wire::PartitionState& partition : shard.partitions) {
    statuses[partition.subtree].replicas.push_back({shard.name, partition.state});
  }
}

}  // namespace canopy::coordination
