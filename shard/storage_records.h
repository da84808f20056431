// The record format of a shard's database. Pure.
//
//   family    key                 value
//   default   "format"            FORMAT
//             "database"          the identity that RocksDB drew for this directory
//             "copy:" PARTITION   number of the copy, identity of the replica
//             "state:" COPY       committed, last, requests so far
//             "history:" COPY     count, then epoch, lineage and last of each
//             "record:" COPY      the record of the partition
//   entries   COPY key            the update, or the split entry (core/wire/entry.h)
//   tail      COPY revision       the log entry (core/wire/replication.h)
//   requests  COPY serial         revision, number, settled and client of each request of a group,
//                                 of which the first has this serial
//
// Numbers, COPY among them, take 8 bytes, big-endian; a text follows its length. RocksDB adds
// checksums.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cluster/partition_record.h"
#include "core/keyspace/replica_log.h"

namespace canopy::shard::records {

inline constexpr std::uint64_t format = 6;
// A repeated request is recognised within this many.
inline constexpr std::uint64_t max_requests = 65'536;

inline constexpr std::string_view format_key = "format";
inline constexpr std::string_view database_key = "database";
inline constexpr std::string_view copy_prefix = "copy:";
inline constexpr std::string_view state_prefix = "state:";
inline constexpr std::string_view history_prefix = "history:";
inline constexpr std::string_view record_prefix = "record:";

struct Copy {
  std::uint64_t number = 0;
  std::string identity{};
};

struct State {
  keyspace::Revision committed{};
  keyspace::Revision last{};   // of the tail; `committed` when the tail is empty
  std::uint64_t requests = 0;  // serial of the next request
};

std::string to_bytes(std::uint64_t number);
// From the first eight bytes; 0 when there are fewer.
std::uint64_t to_number(std::string_view bytes);

// The smallest key above every key with this prefix. The prefix has a byte below 0xff.
std::string end_of(std::string prefix);

// Keys of a copy's records.
inline std::string key_of(std::uint64_t copy, std::string_view rest) {
  return to_bytes(copy) + std::string(rest);
}
inline std::string key_of(std::uint64_t copy, std::uint64_t rest) {
  return to_bytes(copy) + to_bytes(rest);
}
inline std::string key_of(std::string_view prefix, std::uint64_t copy) {
  return std::string(prefix) + to_bytes(copy);
}

std::string encode(const Copy& copy);
std::string encode(const State& state);
std::string encode(const std::vector<keyspace::EpochEnd>& history);
std::string encode(const cluster::PartitionRecord& record);
void append(std::string& out, const keyspace::AppliedRequest& request);

// Nothing when the bytes are not a valid record.
std::optional<Copy> decode_copy(std::string_view bytes);
std::optional<State> decode_state(std::string_view bytes);
std::optional<std::vector<keyspace::AppliedRequest>> decode_requests(std::string_view bytes);
std::optional<std::vector<keyspace::EpochEnd>> decode_history(std::string_view bytes);
std::optional<cluster::PartitionRecord> decode_record(std::string_view bytes);

}  // namespace canopy::shard::records
