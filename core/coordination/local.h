// The coordinator that the broker serves from memory (DESIGN: "local"), as seen by a shard or
// proxy: a DEALER to the broker's ROUTER.
#pragma once

#include <memory>
#include <string>

#include "core/coordination/coordinator.h"
#include "core/net/loop.h"
#include "core/net/socket.h"

namespace canopy::coordination {

// `candidate` is the process's name in the cluster; a newer session of the same name supersedes an
// older one at once, so that a restarted process need not wait for its predecessor's lease.
std::unique_ptr<Coordinator> make_local_coordinator(net::Context& context, net::Loop& loop,
                                                    const std::string& broker_endpoint,
                                                    const std::string& candidate);

}  // namespace canopy::coordination
