#include "broker/placement.h"

#include <algorithm>
#include <set>

#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/keyspace/key.h"
#include "core/keyspace/partition_map.h"

namespace canopy::broker {

base::Result<cluster::PartitionRecord> placed_on(const config::Cluster& cluster,
                                                 const Members& members,
                                                 const std::string& partition,
                                                 const std::vector<std::string>& shards) {
  const std::string shown = keyspace::shown(partition);
  const auto partitions = partitions_of(cluster, members);
  const auto configured = std::ranges::find(partitions, partition, &config::Partition::subtree);
  if (configured == partitions.end()) return base::Error{"no partition is called " + shown};
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

base::Result<SplitOrder> split_of(const config::Cluster& cluster, const Members& members,
                                  const std::string& subtree) {
  keyspace::PartitionMap map;
  for (const auto& partition : partitions_of(cluster, members)) map.add(partition.subtree);
  const std::size_t around = map.owner(subtree);
  if (map.find(subtree) != map.size()) return base::Error{subtree + " is a partition"};
  if (around == map.size()) return base::Error{"no partition is around " + subtree};
  if (map.size() >= base::max_partitions) {
    return base::Error{"there are " + std::to_string(map.size()) +
                       " partitions, which is the limit"};
  }
  if (!base::is_utf8(subtree)) return base::Error{"the subtree is not UTF-8"};
  const std::string& partition = map.subtree(around);
  const auto found = members.records.find(partition);
  if (found == members.records.end()) {
    return base::Error{"no shard has led " + keyspace::shown(partition) + " yet"};
  }
  SplitOrder order{.partition = partition, .record = found->second};
  for (const std::string& split : order.record.splits) {
    if (!split.starts_with(subtree) && !subtree.starts_with(split)) continue;
    if (members.records.contains(split)) continue;
    return base::Error{"the split of " + split + " is not finished"};
  }
  order.record.splits.push_back(subtree);
  return order;
}

}  // namespace canopy::broker
