// The address of a cluster, and the keys to connect with.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/access/keys.h"

namespace canopy::client::cli {

struct Cluster {
  std::vector<std::string> brokers{};        // endpoints
  std::optional<access::ClientKeys> keys{};  // none: no encryption
};

}  // namespace canopy::client::cli
