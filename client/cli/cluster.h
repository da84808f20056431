// The cluster that a command is for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/access/keys.h"

namespace canopy::client::cli {

struct Cluster {
  std::vector<std::string> brokers{};        // endpoints
  std::optional<access::ClientKeys> keys{};  // none: everything goes in the clear
};

}  // namespace canopy::client::cli
