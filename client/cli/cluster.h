// The cluster that a command is for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/net/socket.h"

namespace canopy::client::cli {

struct Cluster {
  std::vector<std::string> brokers{};      // endpoints
  std::optional<net::CurveClient> keys{};  // none: everything goes in the clear
};

}  // namespace canopy::client::cli
