// Every setting of the cluster's file, one table per section: key, type, bounds, help.
#pragma once

#include "core/config/cluster.h"
#include "core/config/settings.h"

namespace canopy::config {

// Of a process: 1 to 63 characters of a-z, 0-9 and -.
base::Status check_name(const std::string& text);
// "*", the root, or what ends with '/'.
base::Status check_subtree(const std::string& text);

const Table<Cluster>& cluster_table();
const Table<Broker>& broker_table();
const Table<Shard>& shard_table();
const Table<Partition>& partition_table();
const Table<Proxy>& proxy_table();
const Table<Security>& security_table();
const Table<access::Client>& client_table();
// Unlike the other sections it may be missing: its presence has a meaning.
Setting<Cluster> security();
// A section, or the word `local`.
Setting<Cluster> coordination();
// The short form of `partitions`, in the entry of the one shard that keeps them.
// read_own_partitions() adds them to the cluster's partitions, not to the shard.
Setting<Shard> own_partitions();
base::Status read_own_partitions(const Entry& item, const std::string& shard, Cluster& cluster,
                                 Claims& claims);

}  // namespace canopy::config
