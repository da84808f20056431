// Bounds that are part of the protocol, so that every process must agree on them. Bounds that an
// operator may change are settings (core/config).
#pragma once

#include <cstddef>

namespace canopy::base {

inline constexpr std::size_t max_key_bytes = 255;
// Largest value a client may write.
inline constexpr std::size_t max_value_bytes = std::size_t{1} << 20;
// Largest `name=value\n` block of a client's update.
inline constexpr std::size_t max_properties_bytes = std::size_t{4} << 10;
// Largest uuid of a Clone client's update: 16 bytes in C, 32 or 36 characters of text elsewhere.
inline constexpr std::size_t max_uuid_bytes = 64;
// What one message between processes is filled up to; a single larger entry may exceed it.
inline constexpr std::size_t max_chunk_bytes = std::size_t{256} << 10;
// A client that sends a larger frame is disconnected.
inline constexpr std::size_t max_client_frame_bytes = std::size_t{4} << 20;
// Frames between the cluster's own processes.
inline constexpr std::size_t max_link_frame_bytes = std::size_t{16} << 20;

// Of one cluster, over all its shards: every one may be named in one message.
inline constexpr std::size_t max_partitions = 4096;
// Of one partition.
inline constexpr std::size_t max_replicas = 7;
// Brokers, shards and proxies that a file may name.
inline constexpr std::size_t max_processes = 1024;

}  // namespace canopy::base
