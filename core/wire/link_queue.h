// How libzmq's queues of a proxy towards its shards are bounded in bytes. Pure.
//
// libzmq counts messages, whatever their size. So large writes count for several: the proxy lets
// them be followed by one empty message (writes without requests) for each further unit of bytes. A
// queue of N messages then holds N units of bytes at most, and beyond that only the frame whose own
// empty messages no longer fitted: one before a full queue drops, and one at its end. Batches are
// not followed by anything: the shard's own queue, which is bounded in bytes, holds what the
// proxy's does not.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/base/limits.h"

namespace canopy::wire {

// Small enough for a queue of 16 MiB to take a thousand small messages, as of a process that pauses
// for 50 ms; large enough for empty messages to cost little beside the bytes that they stand for.
inline constexpr std::size_t queue_unit_bytes = std::size_t{16} << 10;

// The high-water mark of a queue of so many bytes.
constexpr int queue_messages(std::uint64_t bytes) {
  return static_cast<int>(std::max<std::uint64_t>(bytes / queue_unit_bytes, 1));
}

// The high-water mark of a queue of so many bytes of batches, as large as they become unless they
// hold one larger value.
constexpr int queue_batches(std::uint64_t bytes) {
  return static_cast<int>(std::max<std::uint64_t>(bytes / base::max_chunk_bytes, 1));
}

// How many empty messages follow a frame.
constexpr std::size_t padding_messages(std::size_t frame_bytes) {
  return frame_bytes == 0 ? 0 : (frame_bytes - 1) / queue_unit_bytes;
}

}  // namespace canopy::wire
