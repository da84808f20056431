// How much may be queued for a connection, and whether what may wait (a snapshot, a catch-up) goes
// on over it. Pure.
#pragma once

#include <algorithm>

#include "core/net/connection.h"

namespace canopy::proxy {

enum class Room {
  here,
  drained,  // once its queue is down: ConnectionEvents::on_drained() tells
  later,    // the queues of all connections together are too long: nothing tells when they are not
};

// After which time to try again, where nothing tells.
inline constexpr base::Duration room_retry = std::chrono::milliseconds(20);

// How many bytes the queue of one connection may hold.
// The limit of each connection is what is left of the bound of all: the more is queued, the lower
// it is. So the largest queues stop growing first, short ones go on, and the sum never exceeds its
// bound.
// `client_queue_bytes` and `egress_bytes` as configured; `queued`: over all connections.
constexpr std::size_t queue_limit(std::size_t client_queue_bytes, std::size_t egress_bytes,
                                  std::size_t queued) {
  return std::min(client_queue_bytes, egress_bytes - std::min(egress_bytes, queued));
}

// `high_water`: the mark of the connection's queue. `limit`: Backend::queue_limit(), of which half
// is left to live updates.
inline Room room_of(const net::Connection& connection, std::size_t high_water, std::size_t limit) {
  const std::size_t queued = connection.queued_bytes();
  if (queued >= high_water) return Room::drained;
  return queued >= limit / 2 ? Room::later : Room::here;
}

}  // namespace canopy::proxy
