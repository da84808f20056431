// Checks an operator's order to move or split a partition, and makes the new record. Pure.
#pragma once

#include <string>
#include <vector>

#include "broker/topology.h"

namespace canopy::broker {

// The record of `partition` ("" is the root), placed on these shards. An error: the file has no
// such partition or shard, the number of shards is wrong, or no shard has led the partition yet.
base::Result<cluster::PartitionRecord> placed_on(const config::Cluster& cluster,
                                                 const Members& members,
                                                 const std::string& partition,
                                                 const std::vector<std::string>& shards);

// The partition to split `subtree` off from, and its record with that order. An error: the subtree
// is a partition, no partition is around it, or a split of that one is not finished.
struct SplitOrder {
  std::string partition{};
  cluster::PartitionRecord record{};
};
base::Result<SplitOrder> split_of(const config::Cluster& cluster, const Members& members,
                                  const std::string& subtree);

}  // namespace canopy::broker
