// Where the replicas of partitions are. Pure.
#pragma once

#include "core/base/result.h"
#include "core/config/claims.h"
#include "core/config/cluster.h"

namespace canopy::config {

// Completes and checks Partition::on of a cluster whose file is read. A partition that gives the
// number of its replicas alone, as so many empty names in `on`, gets shards: each has about as many
// replicas and as many partitions to lead as the next. The choice depends on the subtrees and the
// names of shards, not on their order. An error when a shard that is named does not exist or keeps
// nothing, or when nobody owns the root.
base::Status place_partitions(Cluster& cluster, const Claims& claims);

}  // namespace canopy::config
