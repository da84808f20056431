// Makes the frontends of a proxy: the only place that names the protocols. Stateless.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/cluster.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"

namespace canopy::proxy {

// The configured protocols, as metrics name them.
std::vector<std::string> dialects(const config::Proxy& config);

// One frontend for each configured protocol. All references outlive them; `config` may change
// meanwhile.
std::vector<std::unique_ptr<Frontend>> make_frontends(const config::Proxy& config, Metrics& metrics,
                                                      Backend& backend);

}  // namespace canopy::proxy
