// What a process should say at its start about who can reach it. Pure.
#pragma once

#include <string>
#include <vector>

#include "core/config/cluster.h"

namespace canopy::config {

// Whether others than processes of this machine can connect.
bool beyond_this_machine(const Endpoint& endpoint);

// Lines for the log: of sockets that listen beyond this machine without security, and of an HTTP
// side that does so with it, for what it tells is told to all.
std::vector<std::string> exposure(bool secured, const std::vector<Endpoint>& endpoints,
                                  const HttpAddress& http);
// The endpoints of a proxy's frontends.
std::vector<Endpoint> frontends(const Proxy& proxy);

}  // namespace canopy::config
