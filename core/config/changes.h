// What a file asks for that the running cluster does not have yet.
#pragma once

#include <string>
#include <vector>

#include "core/config/cluster.h"

namespace canopy::config {

// Settings by their keys, such as "proxies.p1.max_linger_ms" and "proxies.p5 (added)".
struct Changes {
  std::vector<std::string> live = {};   // what running processes can take on
  std::vector<std::string> fixed = {};  // what takes a restart

  bool operator==(const Changes&) const = default;
};

Changes changes(const Cluster& running, const Cluster& wanted);

}  // namespace canopy::config
