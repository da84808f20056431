// Lookups in a replica's request table.
#pragma once

#include <optional>

#include "core/cluster/request_table.h"
#include "core/wire/write.h"

namespace canopy::simulation {

// The revision of its last update, if the request was applied.
std::optional<keyspace::Revision> answered(const cluster::RequestTable& requests,
                                           const wire::WriteRequest& request);
// Whether the client has declared the request settled, so that this is an old copy.
bool settled(const cluster::RequestTable& requests, const wire::WriteRequest& request);

}  // namespace canopy::simulation
