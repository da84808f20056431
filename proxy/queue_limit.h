// How many bytes the queue of one connection may hold. Pure.
//
// The limit of each connection is what is left of the bound of all: the more is queued, the lower
// it is. So the largest queues stop growing first, short ones go on, and the sum never exceeds its
// bound.
#pragma once

#include <algorithm>
#include <cstddef>

namespace canopy::proxy {

// `client_queue_bytes` and `egress_bytes` as configured; `queued`: over all connections.
constexpr std::size_t queue_limit(std::size_t client_queue_bytes, std::size_t egress_bytes,
                                  std::size_t queued) {
  return std::min(client_queue_bytes, egress_bytes - std::min(egress_bytes, queued));
}

}  // namespace canopy::proxy
