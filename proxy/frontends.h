// The protocols that a proxy speaks: the only place that names them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/cluster.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"

namespace canopy::proxy {

// The protocols that the proxy is configured to speak, as metrics name them.
std::vector<std::string> dialects(const config::Proxy& config);

// A frontend for each protocol that the proxy is configured to speak. All references outlive them;
// `config` may change meanwhile.
std::vector<std::unique_ptr<Frontend>> make_frontends(const config::Proxy& config, Metrics& metrics,
                                                      Backend& backend);

}  // namespace canopy::proxy
