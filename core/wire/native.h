// Canopy's own protocol, as specified in docs/protocol.md: how a native client talks to a proxy
// (streams, fetches, writes) and to the broker (directory).
//
// A request or answer is one frame: the version byte, then a MessagePack array [kind, field…].
// A message of a stream is one frame: the stream's topic (which opens with the version byte), then
// a MessagePack array [kind, field…], then, for a batch, the entries. Entries follow their header
// as a plain sequence of MessagePack arrays, so that an entry is encoded once for all streams:
//
//   entry = [key, revision, value | nil]                                 nil: deleted
//         | [key, revision, value | nil, expires_at_ms, properties]
//
// Pure code over bytes; never throws on hostile input. Views in decoded messages point into the
// frame (or into the `unpacked` of their batch) and live as long as it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/limits.h"
#include "core/base/result.h"
#include "core/keyspace/update.h"
#include "core/wire/fault.h"
#include "core/wire/write.h"

namespace canopy::wire::native {

inline constexpr std::uint8_t version = 1;

inline constexpr std::size_t client_id_bytes = 16;
inline constexpr std::size_t max_writes = 1024;  // of one request
inline constexpr std::uint32_t max_credit = 64;  // chunks granted at once
inline constexpr std::uint32_t max_latest_ms = 60'000;
inline constexpr std::int64_t max_ttl_ms = std::int64_t{1} << 48;
inline constexpr std::size_t max_partitions = base::max_partitions;  // of one list of revisions
// Of one batch or chunk, unpacked. A sender fills up to base::max_chunk_bytes; one larger entry may
// exceed that.
inline constexpr std::size_t max_entries = 65'536;
inline constexpr std::size_t max_entries_bytes = std::size_t{2} << 20;

enum class Kind : unsigned {
  // client → proxy
  write = 129,
  fetch = 130,
  credit = 131,
  // client → broker
  directory = 144,
  drain = 145,
  reload = 146,
  // stream
  batch = 160,
  move = 161,
  // proxy → client
  written = 193,
  chunk = 194,
  // broker → client
  members = 208,
  drained = 209,
  reloaded = 210,
  // whoever was asked → client
  refusal = 255,
};

// A distinct subscription, which is what makes a stream: subtree and delivery options.
//
//   topic = version (1 byte) · flags (1 byte: 1 = lz4) · latest_ms (4 bytes, big-endian) ·
//           subtree · zero byte
//
// Keys hold no zero byte, so no topic is another's prefix.
struct Subscription {
  std::string subtree{};        // a subtree ("" is the root), or a full key
  std::uint32_t latest_ms = 0;  // 0: every update; else only the latest of each key, this often
  bool lz4 = false;             // batches may come compressed

  bool operator==(const Subscription&) const = default;
};

std::string topic(const Subscription& subscription);
base::Result<Subscription> parse_topic(std::string_view topic);
// The topic that a frame of a stream opens with; empty when it has none.
std::string_view topic_of(std::string_view frame);
// Whether this may be the subtree of a subscription or fetch: a subtree, or a full key.
bool is_watchable(std::string_view subtree);
// Whether `key` is in the subtree, which may be a full key.
bool covers(std::string_view subtree, std::string_view key);

struct PartitionRevision {
  std::string partition{};
  keyspace::Revision revision{};

  bool operator==(const PartitionRevision&) const = default;
};
using Revisions = std::vector<PartitionRevision>;  // each partition once; decoded: in their order

struct Entry {
  std::string_view key{};
  std::string_view value{};
  std::string_view properties{};
  keyspace::Revision revision{};
  std::int64_t expires_at_ms = 0;
  bool deleted = false;
};

void append_entry(std::string& out, const keyspace::Update& update);

// --- streams -----------------------------------------------------------------------------------

//   batch = [160, incarnation, after, count, {partition: revision}, raw_bytes] · entries
//   move  = [161, within_ms]
struct BatchHeader {
  std::uint64_t incarnation = 0;  // of the stream: its positions mean nothing in another
  std::uint64_t after = 0;        // updates that the stream had carried before this batch
  std::uint32_t count = 0;        // updates in this batch; 0: a heartbeat
  Revisions revisions{};          // what the subtree's partitions have reached by its end
};

// `body`: the entries; or, with raw_bytes > 0, the LZ4 block that they make, raw_bytes unpacked.
std::string encode_batch(std::string_view topic, const BatchHeader& header, std::string_view body,
                         std::size_t raw_bytes = 0);
std::string encode_move(std::string_view topic, std::uint32_t within_ms);
// An LZ4 block.
std::string compress(std::string_view entries);

struct Batch {
  BatchHeader header{};
  std::vector<Entry> entries{};
  std::string unpacked{};  // what `entries` point into, when the batch was compressed

  std::uint64_t end() const { return header.after + header.count; }
};
// The proxy goes away: be elsewhere within this time, at a moment of the client's own choosing.
struct Move {
  std::uint32_t within_ms = 0;
};
// Overwrites `out`, keeping its memory for the next. A Move when the frame is one.
base::Result<std::optional<Move>> decode_stream(std::string_view frame, Batch& out);

// --- requests of a client to a proxy -----------------------------------------------------------

//   write  = [129, client, number, settled, [[key, value | nil, ttl_ms, if_revision | nil,
//             properties]…]]
//   fetch  = [130, request, topic, subtree, {partition: revision}, gap | nil, credit]
//   gap    = [incarnation, had, saw]
//   credit = [131, request, chunks]
struct Gap {
  std::uint64_t incarnation = 0;
  std::uint64_t had = 0;  // the position that the client had reached
  std::uint64_t saw = 0;  // `after` of the batch that came instead; above `had`
};
// The state of a subtree: all of it, or what changed since the revisions that the client knows.
struct Fetch {
  std::uint64_t request = 0;
  std::string topic{};  // the stream that the answer is to join on to; empty: none
  std::string subtree{};
  Revisions known{};
  std::optional<Gap> gap{};  // why it asks, when it missed something
  std::uint32_t credit = 1;  // chunks that may be sent before more is granted
};
struct Credit {
  std::uint64_t request = 0;
  std::uint32_t chunks = 1;
};
using ToProxy = std::variant<WriteRequest, Fetch, Credit>;

std::string encode(const WriteRequest& request);
std::string encode(const Fetch& fetch);
std::string encode(const Credit& credit);

// --- answers of a proxy ------------------------------------------------------------------------

//   written = [193, request, revision]
//   chunk   = [194, request, number, partition, mode, revision, more, incarnation, position, count]
//             · entries
//   refusal = [255, request, fault, text, revision]
struct Written {
  std::uint64_t request = 0;
  keyspace::Revision revision{};  // of its last write; the others have the revisions before it
};
struct ChunkHeader {
  enum class Mode : std::uint8_t {
    full = 0,     // the whole partition below the subtree: what is not in it is gone
    changes = 1,  // what changed since the revision that was known, deletions included
  };
  enum class More : std::uint8_t { last = 0, same_partition = 1, next_partition = 2 };

  std::uint64_t request = 0;
  std::uint32_t number = 0;  // from 0, contiguous
  std::string partition{};
  Mode mode = Mode::full;
  keyspace::Revision revision{};  // of the partition at the cut
  More more = More::last;         // what follows this chunk
  std::uint64_t incarnation = 0;  // the stream's, and its position at the cut: updates up to there
  std::uint64_t position = 0;     // are part of the answer. Both 0 for a fetch without a stream.
  std::uint32_t count = 0;
};
struct Chunk {
  ChunkHeader header{};
  std::vector<Entry> entries{};
};
struct Refusal {
  std::uint64_t request = 0;  // 0: the request could not be read that far
  Fault fault = Fault::none;
  std::string text{};
  keyspace::Revision revision{};  // revision_mismatch: the entry's (0: there is none)
};
using FromProxy = std::variant<Written, Chunk, Refusal>;

std::string encode(const Written& written);
std::string encode_chunk(const ChunkHeader& header, std::string_view entries);
std::string encode(const Refusal& refusal);
base::Result<FromProxy> decode_from_proxy(std::string_view frame);

// The request, or the refusal that answers it.
std::variant<ToProxy, Refusal> decode_to_proxy(std::string_view frame);

// --- clients and the broker --------------------------------------------------------------------

//   directory = [144, request, prefix]
//   drain     = [145, request, name]
//   reload    = [146, request]
//   members   = [208, request, [[key, value]…]]
//   drained   = [209, request]
//   reloaded  = [210, request, [setting…]]
struct Directory {
  std::uint64_t request = 0;
  std::string prefix{};  // "proxies/", "shards/", or "" for both
};
struct Drain {
  std::uint64_t request = 0;
  std::string name{};
};
// Takes on what the broker's file says by now, in the whole cluster.
struct Reload {
  std::uint64_t request = 0;
};
using ToBroker = std::variant<Directory, Drain, Reload>;
struct Members {
  std::uint64_t request = 0;
  std::vector<std::pair<std::string, std::string>> members{};  // key, JSON of coordination/member.h
};
struct Drained {
  std::uint64_t request = 0;
};
struct Reloaded {
  std::uint64_t request = 0;
  std::vector<std::string> settings{};  // that were changed: "proxies.p1.max_linger_ms"
};
using FromBroker = std::variant<Members, Drained, Reloaded, Refusal>;

std::string encode(const Directory& directory);
std::string encode(const Drain& drain);
std::string encode(const Reload& reload);
std::string encode(const Members& members);
std::string encode(const Drained& drained);
std::string encode(const Reloaded& reloaded);
std::variant<ToBroker, Refusal> decode_to_broker(std::string_view frame);
base::Result<FromBroker> decode_from_broker(std::string_view frame);
// Whether a frame that reached the broker is of this protocol, in whatever version, rather than a
// process's.
bool is_native(std::string_view frame);

}  // namespace canopy::wire::native
