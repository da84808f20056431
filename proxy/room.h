// Whether what may wait (a snapshot, a catch-up) goes on over a connection. Pure.
#pragma once

#include "core/net/connection.h"

namespace canopy::proxy {

enum class Room {
  here,
  drained,  // once its queue is down: ConnectionEvents::on_drained() tells
  later,    // the queues of all connections together are too long: nothing tells when they are not
};

// After which time to try again, where nothing tells.
inline constexpr base::Duration room_retry = std::chrono::milliseconds(20);

// `high_water`: the mark of the connection's queue. `limit`: Backend::queue_limit(), of which half
// is left to live updates.
inline Room room_of(const net::Connection& connection, std::size_t high_water, std::size_t limit) {
  const std::size_t queued = connection.queued_bytes();
  if (queued >= high_water) return Room::drained;
  return queued >= limit / 2 ? Room::later : Room::here;
}

}  // namespace canopy::proxy
