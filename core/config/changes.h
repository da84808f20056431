// The settings in which a configuration file differs from the running cluster.
#pragma once

#include <string>
#include <vector>

#include "core/config/cluster.h"

namespace canopy::config {

// Settings by their keys, such as "proxies.p1.max_linger_ms" and "proxies.p5 (added)".
struct Changes {
  std::vector<std::string> live = {};   // running processes can apply these
  std::vector<std::string> fixed = {};  // these need a restart

  bool operator==(const Changes&) const = default;
};

Changes changes(const Cluster& running, const Cluster& wanted);

}  // namespace canopy::config
