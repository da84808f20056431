// Warnings that a process logs at its start about sockets open to other machines. Pure.
#pragma once

#include <string>
#include <vector>

#include "core/config/cluster.h"

namespace canopy::config {

// Whether other machines can connect.
bool beyond_this_machine(const Endpoint& endpoint);

// Lines for the log: without security about sockets open to other machines, and with security about
// an HTTP port open to them, because it has no access control.
std::vector<std::string> exposure(bool secured, const std::vector<Endpoint>& endpoints,
                                  const HttpAddress& http);
// The endpoints of a proxy's frontends.
std::vector<Endpoint> frontends(const Proxy& proxy);

}  // namespace canopy::config
