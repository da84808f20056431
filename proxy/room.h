// Bounds of a connection's queue, and whether a snapshot or catch-up may add to the queue now.
// Pure.
#pragma once

#include <algorithm>

#include "core/net/connection.h"

namespace canopy::proxy {

enum class Room {
  available,
  after_drain,  // continue when ConnectionEvents::on_drained() is called
  retry,        // all queues together are too long: no event follows, try again after room_retry
};

inline constexpr base::Duration room_retry = std::chrono::milliseconds(20);

// Bytes that the queue of one connection may hold: `client_queue_bytes`, but at most the rest of
// `egress_bytes`. So the longest queues stop growing first, and the sum never exceeds its bound.
// `queued`: bytes over all connections.
constexpr std::size_t queue_limit(std::size_t client_queue_bytes, std::size_t egress_bytes,
                                  std::size_t queued) {
  return std::min(client_queue_bytes, egress_bytes - std::min(egress_bytes, queued));
}

// `high_water`: of the connection's queue, in bytes. `limit`: Backend::queue_limit(); half of it is
// left to live updates.
inline Room room_of(const net::Connection& connection, std::size_t high_water, std::size_t limit) {
  const std::size_t queued = connection.queued_bytes();
  if (queued >= high_water) return Room::after_drain;
  return queued >= limit / 2 ? Room::retry : Room::available;
}

}  // namespace canopy::proxy
