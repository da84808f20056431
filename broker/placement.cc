#include "broker/placement.h"

#include <set>

#include "core/base/limits.h"
#include "core/keyspace/key.h"

namespace canopy::broker {

base::Result<cluster::PartitionRecord> placed_on(const config::Cluster& cluster,
                                                 const Members& members,
                                                 const std::string& partition,
                                                 const std::vector<std::string>& shards) {
  const std::string shown = keyspace::shown(partition);
  const config::Partition* configured = cluster.find_partition(partition);
  if (configured == nullptr) return base::Error{"no partition is called " + shown};
  for (const std::string& shard : shards) {
    if (cluster.find_shard(shard) == nullptr) return base::Error{"no shard is called " + shard};
  }
  if (std::set(shards.begin(), shards.end()).size() != shards.size()) {
    return base::Error{"a shard is named twice"};
  }
  if (shards.empty() || shards.size() > base::max_replicas ||
      shards.size() < configured->min_in_sync) {
    return base::Error{shown + " needs " + std::to_string(configured->min_in_sync) + " to " +
                       std::to_string(base::max_replicas) + " shards"};
  }
  const auto found = members.records.find(partition);
  if (found == members.records.end()) return base::Error{"no shard has led " + shown + " yet"};
  cluster::PartitionRecord record = found->second;
  record.placement = shards;
  return record;
}

}  // namespace canopy::broker
