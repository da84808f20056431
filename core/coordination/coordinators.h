// The coordinator that the configuration names.
#pragma once

#include <memory>
#include <string>

#include "core/config/cluster.h"
#include "core/coordination/coordinator.h"
#include "core/net/loop.h"

namespace canopy::coordination {

// The coordinator of the process of this name; `identity` as in local.h and etcd.h. `cluster` and
// `loop` outlive the coordinator.
std::unique_ptr<Coordinator> make_coordinator(const config::Cluster& cluster, net::Loop& loop,
                                              const std::string& name,
                                              const std::string& identity = {});

// The coordinator of a broker that reads the directory in etcd; `settings.etcd` is present.
std::unique_ptr<Coordinator> make_etcd_coordinator(const config::Coordination& settings,
                                                   net::Loop& loop, const std::string& name,
                                                   const std::string& identity = {});

}  // namespace canopy::coordination
