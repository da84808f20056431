// The placement of the replicas of partitions. Pure.
#pragma once

#include "core/base/result.h"
#include "core/config/claims.h"
#include "core/config/cluster.h"

namespace canopy::config {

// Completes and checks Partition::on of a cluster whose file has been read. A partition that gives
// only the number of its replicas, as empty names in `on`, gets shards. Replicas and leaders are
// spread evenly. The choice depends on the subtrees and the names of shards, not on their order. An
// error when a named shard does not exist, a shard keeps nothing, or no partition owns the root.
base::Status place_partitions(Cluster& cluster, const Claims& claims);

}  // namespace canopy::config
