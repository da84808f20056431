// Whether the processes of a file have the descriptors that they need. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/result.h"
#include "core/config/claims.h"
#include "core/config/cluster.h"

namespace canopy::config {

// Descriptors that a process can come to need: sockets, connections, stores.
std::uint64_t descriptors_of(const Shard& shard, const Cluster& cluster);
std::uint64_t descriptors_of(const Proxy& proxy, const Cluster& cluster);

// What one client can hold: a native client one, a Clone client three.
std::uint64_t connections_per_client(const Proxy& proxy);

// What a proxy leaves to others than its clients once it has started: links to shards and broker,
// those that ask over HTTP.
std::uint64_t reserved_descriptors(std::size_t shards);

// `claims` knows where the settings stand.
base::Status check_capacity(const Cluster& cluster, const Claims& claims);

}  // namespace canopy::config
