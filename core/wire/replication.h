// The messages between the replicas of a partition. A follower connects to the leading shard; one
// connection carries all partitions that the two shards share. Every message is one frame, a
// MessagePack array that opens with the version of the links (link.h) and the kind.
//
//   follower → leader
//     follow    [V, 5, partition, shard, identity, epoch, session, committed, history]
//     stored    [V, 6, partition, shard, identity, epoch, session, position]
//   leader → follower
//     append    [V, 19, partition, epoch, session, number, of_epoch, of_lineage, after, committed,
//               count] · entries
//     snapshot  [V, 20, partition, epoch, session, number, cut, history | nil, last, count,
//               requests] · updates · requests
//     unled     [V, 21, partition, epoch, session, identity]
//
//   history = [[epoch, lineage, last]…], ascending, the latest epochs of the log
//   entry   = [flags] · update [· [client, number, settled]]
//     flags: 1 completes a request's updates, 2 with the request; updates as in entry.h
//   request = [client, number, settled, revision]
//
// `session` is of the follower's choosing and grows: the follower drops answers to an earlier
// follow. The messages of a session are numbered from 0; at a missing number the follower sends
// follow again.
//
// Pure code over bytes; never throws on hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/result.h"
#include "core/keyspace/replica_log.h"

namespace canopy::wire {

// Of the name of a shard, and of an identity.
inline constexpr std::size_t max_replica_name_bytes = 255;

// What a shard asks of the leader.
struct Follow {
  std::string partition{};
  std::string shard{}, identity{};  // of the asking replica
  std::uint32_t epoch = 0;          // that it believes to be led
  std::uint64_t session = 0;
  keyspace::Revision committed{};  // what it has applied, and can not take back
  std::vector<keyspace::EpochEnd> history{};
};

// All up to `position` lasts as the partition's durability says.
struct Stored {
  std::string partition{};
  std::string shard{}, identity{};
  std::uint32_t epoch = 0;
  std::uint64_t session = 0;
  keyspace::Revision position{};
};

// Entries of one epoch, contiguous after `after`. What the follower has after `after` when the
// first message of a session comes was never committed, and goes. Without entries: the epoch
// begins, or only `committed` is told.
struct Append {
  std::string partition{};
  std::uint32_t epoch = 0;  // of the leadership
  std::uint64_t session = 0;
  std::uint64_t number = 0;
  std::uint32_t of_epoch = 0;  // of the entries
  std::uint64_t of_lineage = 0;
  keyspace::Revision after{};
  keyspace::Revision committed{};  // perhaps beyond what the follower has by now
  std::vector<keyspace::LogEntry> entries{};
};

// A part of the committed state as of `cut`: the split entries, the entries of the tree in the
// order of their keys, and the requests in the order they were applied. The first one carries the
// history up to the cut.
struct Snapshot {
  std::string partition{};
  std::uint32_t epoch = 0;
  std::uint64_t session = 0;
  std::uint64_t number = 0;
  keyspace::Revision cut{};
  std::vector<keyspace::EpochEnd> history{};
  bool last = false;
  std::vector<keyspace::UpdatePtr> updates{};
  std::vector<keyspace::AppliedRequest> requests{};
};

// The answering replica does not lead the partition, or leads it in another epoch.
struct Unled {
  std::string partition{};
  std::uint32_t epoch = 0;  // that the answering replica knows of
  std::uint64_t session = 0;
  std::string identity{};  // of the answering replica: a leader of another identity is gone
};

using ToLeader = std::variant<Follow, Stored>;
using ToFollower = std::variant<Append, Snapshot, Unled>;

std::string encode(const ToLeader& message);
std::string encode(const ToFollower& message);
base::Result<ToLeader> decode_to_leader(std::string_view frame);
base::Result<ToFollower> decode_to_follower(std::string_view frame);

// For stores: one entry, as it is in an append.
void append_log_entry(std::string& out, const keyspace::LogEntry& entry);
base::Result<keyspace::LogEntry> decode_log_entry(std::string_view bytes);

}  // namespace canopy::wire
