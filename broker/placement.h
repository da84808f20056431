// Whether an operator may place a partition on other shards, or split it, and its record then.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "broker/topology.h"

namespace canopy::broker {

// The record of `partition` ("" is the root), placed on these shards; or why it cannot be: the file
// has no such partition or shard, or the number of shards is wrong, or no shard has led it yet.
base::Result<cluster::PartitionRecord> placed_on(const config::Cluster& cluster,
                                                 const Members& members,
                                                 const std::string& partition,
                                                 const std::vector<std::string>& shards);

// The partition that `subtree` is to be split off, and its record with that order; or why it cannot
// be: it is a partition, or nothing is around it, or a split of that is not finished.
struct SplitOrder {
  std::string partition{};
  cluster::PartitionRecord record{};
};
base::Result<SplitOrder> split_of(const config::Cluster& cluster, const Members& members,
                                  const std::string& subtree);

}  // namespace canopy::broker
