// Who a message comes from, as CURVE has proven it. Pure.
#pragma once

#include <string_view>

namespace canopy::access {

// The cluster's own processes are let in under this name, which no client can bear.
inline constexpr std::string_view cluster_name = "(cluster)";

struct Sender {
  std::string_view name = {};  // empty: not known

  bool operator==(const Sender&) const = default;
};

}  // namespace canopy::access
