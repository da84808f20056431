#include "broker/election.h"

#include <algorithm>

#include "core/keyspace/key.h"

namespace canopy::broker {

std::string why_not_elected(const Members& members, const std::string& partition,
                            const std::string& shard) {
  const auto member = members.shards.find(shard);
  if (member == members.shards.end()) return "no running shard is called " + shard;
  const auto& partitions = member->second.partitions;
  const auto replica = std::ranges::find(partitions, partition, &wire::PartitionState::subtree);
  const std::string shown = keyspace::shown(partition);
  if (replica == partitions.end()) return shard + " keeps no replica of a partition " + shown;
  if (replica->state.starts_with("waiting: ")) return {};
  return "partition " + shown + " does not wait at " + shard + "; its state is " + replica->state;
}

}  // namespace canopy::broker
