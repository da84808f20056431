// Every setting of the cluster's file, one table per section: key, type, bounds, help.
#pragma once

#include "core/config/cluster.h"
#include "core/config/settings.h"

namespace canopy::config {

const Table<Cluster>& cluster_table();
const Table<Broker>& broker_table();
const Table<Shard>& shard_table();
const Table<Partition>& partition_table();
const Table<Proxy>& proxy_table();

}  // namespace canopy::config
