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

// Connections of one client: a native client has one, a Clone client three.
std::uint64_t connections_per_client(const Proxy& proxy);

// Descriptors of a started proxy that its clients cannot use: links to shards and broker, HTTP
// requests.
std::uint64_t reserved_descriptors(std::size_t shards);

// `claims` has the places of the settings.
base::Status check_capacity(const Cluster& cluster, const Claims& claims);

}  // namespace canopy::config
