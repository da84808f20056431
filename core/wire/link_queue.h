// How the queues between shards and proxies are bounded in bytes. Pure.
//
// libzmq counts messages, whatever their size. So a large message counts for several: its sender
// lets it be followed by one empty message (a batch without updates, writes without requests) for
// each further unit of bytes. A queue of N messages then holds N units of bytes at most, and beyond
// that only the frame whose own empty messages no longer fitted: one before a full queue drops, and
// one at its end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace canopy::wire {

// Small enough for a queue of 16 MiB to take a thousand small messages, as of a process that pauses
// for 50 ms; large enough for empty messages to cost little beside the bytes that they stand for.
inline constexpr std::size_t queue_unit_bytes = std::size_t{16} << 10;

// The high-water mark of a queue of so many bytes.
constexpr int queue_messages(std::uint64_t bytes) {
  return static_cast<int>(std::max<std::uint64_t>(bytes / queue_unit_bytes, 1));
}

// How many empty messages follow a frame.
constexpr std::size_t padding_messages(std::size_t frame_bytes) {
  return frame_bytes == 0 ? 0 : (frame_bytes - 1) / queue_unit_bytes;
}

}  // namespace canopy::wire
