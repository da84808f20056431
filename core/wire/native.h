// Canopy's own protocol, version 2 (docs/reference/protocol.md): how a native client talks to
// a proxy (watches, reads, writes) and to the broker (directory) over one DEALER connection.
//
// A message is one frame: the version byte, then a MessagePack array [kind, field…]. The entries of
// a batch or chunk follow that array as a plain sequence, each as core/wire/entry.h encodes it.
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
#include "core/wire/entry.h"
#include "core/wire/fault.h"
#include "core/wire/write.h"

namespace canopy::wire::native {

inline constexpr std::uint8_t version = 2;

inline constexpr std::size_t client_id_bytes = 16;
inline constexpr std::size_t max_writes = 1024;  // of one request
inline constexpr std::uint32_t max_latest_ms = 60'000;
inline constexpr std::int64_t max_ttl_ms = std::int64_t{1} << 48;
inline constexpr std::size_t max_partitions = base::max_partitions;  // of one list of revisions
// Of one batch or chunk, unpacked. A sender fills up to base::max_chunk_bytes; one larger entry may
// exceed that.
inline constexpr std::size_t max_entries = 65'536;
inline constexpr std::size_t max_entries_bytes = std::size_t{2} << 20;

// As wide as any number in a message, so that a larger kind is not taken for one of these.
enum class Kind : std::uint64_t {
  // client → proxy
  announce = 128,
  write = 129,
  watch = 130,
  unwatch = 131,
  get = 132,
  list = 133,
  ping = 134,
  clients = 135,
  kick = 136,
  // client → broker
  directory = 144,
  drain = 145,
  reload = 146,
  elect = 147,
  backup = 148,
  place = 149,
  split = 150,
  // proxy → client: streams
  batch = 160,
  move = 161,
  // proxy → client: replies
  welcome = 192,
  written = 193,
  chunk = 194,
  caught_up = 195,
  entry = 196,
  pong = 197,
  gap = 198,
  client_list = 199,
  kicked = 200,
  // broker → client
  members = 208,
  drained = 209,
  reloaded = 210,
  elected = 211,
  backup_ordered = 212,
  placed = 213,
  split_ordered = 214,
  // proxy or broker → client
  refusal = 255,
};

// What makes a stream: a subtree and delivery options.
struct Subscription {
  std::string subtree{};        // a subtree ("" is the root), or a full key
  std::uint32_t latest_ms = 0;  // 0: every update; else only the latest of each key, this often
  bool lz4 = false;             // batches may come compressed

  auto operator<=>(const Subscription&) const = default;
};

// Whether this may be the subtree of a watch or list: a subtree, or a full key.
bool is_watchable(std::string_view subtree);
// Whether `key` is in the subtree, which may be a full key.
bool covers(std::string_view subtree, std::string_view key);

struct PartitionRevision {
  std::string partition{};
  keyspace::Revision revision{};

  bool operator==(const PartitionRevision&) const = default;
};
using Revisions = std::vector<PartitionRevision>;  // each partition once; decoded: in their order

// Its views point into the message.
using keyspace::Entry;
using wire::append_entry;

// --- requests of a client to a proxy -----------------------------------------------------------

//   announce = [128, request, client, name, software]
//   write   = [129, number, settled, [[key, value | nil, ttl_ms, if_revision | nil, properties]…]]
//   watch   = [130, request, subtree, latest_ms, lz4, {partition: revision}]
//   unwatch = [131, request]
//   get     = [132, request, key]
//   list    = [133, request, subtree, limit]
//   ping    = [134, request]
//   clients = [135, request]                            for an admin, if the cluster has security
//   kick    = [136, request, connection]                for an admin, too

// Names the client of this connection. Only writes need a client id.
struct Announce {
  std::uint64_t request = 0;
  std::string client{};    // 16 random bytes that name the client for its life
  std::string name{};      // for people
  std::string software{};  // for people: "canopy 0.1"
};
// The request number names the watch on its connection.
struct Watch {
  std::uint64_t request = 0;
  Subscription subscription{};
  Revisions known{};  // empty: nothing
};
struct Unwatch {
  std::uint64_t request = 0;  // of the watch
};
struct Get {
  std::uint64_t request = 0;
  std::string key{};
};
struct List {
  std::uint64_t request = 0;
  std::string subtree{};
  std::uint64_t limit = 0;  // entries after which the proxy may stop; 0: none
};
struct Ping {
  std::uint64_t request = 0;
};
// The connections of the proxy's clients.
struct Clients {
  std::uint64_t request = 0;
};
// Ends a connection, whose client may come back.
struct Kick {
  std::uint64_t request = 0;
  std::uint64_t connection = 0;
};
// A decoded WriteRequest has no client: the caller sets it from the connection's Announce.
using ToProxy =
    std::variant<Announce, WriteRequest, Watch, Unwatch, Get, List, Ping, Clients, Kick>;

std::string encode(const Announce& announce);
std::string encode(const WriteRequest& request);
std::string encode(const Watch& watch);
std::string encode(const Unwatch& unwatch);
std::string encode(const Get& get);
std::string encode(const List& list);
std::string encode(const Ping& ping);
std::string encode(const Clients& clients);
std::string encode(const Kick& kick);

// --- what a proxy sends ------------------------------------------------------------------------

//   welcome   = [192, request, proxy]
//   written   = [193, number, revision]
//   chunk     = [194, request, partition, mode, revision, more, count] · entries
//   caught_up = [195, request, stream, position]
//   entry     = [196, request, count] · entry                     count: 0 or 1
//   pong      = [197, request]
//   gap       = [198, request, missed | nil]
//   client_list = [199, request, more, [client…]]
//   client    = [connection, peer, name, protocol, [subscription…], queued, missed, catch_ups, age]
//   kicked    = [200, request]
//   batch     = [160, stream, after, count, {partition: revision}, raw_bytes] · entries
//   move      = [161, within_ms]
//   refusal   = [255, request, fault, text, revision, of]
struct Welcome {
  std::uint64_t request = 0;
  std::string proxy{};
};
struct Written {
  std::uint64_t number = 0;
  keyspace::Revision revision{};  // of its last write; the others have the revisions before it
};
// Part of the answer to a watch or list.
struct ChunkHeader {
  enum class Mode : std::uint8_t {
    full = 0,     // the whole partition below the subtree: what is not in it is gone
    changes = 1,  // what changed since the revision that was known, deletions included
  };
  enum class More : std::uint8_t { last = 0, same_partition = 1, next_partition = 2 };

  std::uint64_t request = 0;
  std::string partition{};
  Mode mode = Mode::full;
  // Of the partition at the cut. 0: what the client knows of the partition is of another history.
  keyspace::Revision revision{};
  More more = More::last;  // what follows this chunk
  std::uint32_t count = 0;
};
struct Chunk {
  ChunkHeader header{};
  std::vector<Entry> entries{};
};
// The watch is live: the stream's batches after this position follow.
struct CaughtUp {
  std::uint64_t request = 0;
  std::uint64_t stream = 0;
  std::uint64_t position = 0;
};
struct Got {
  std::uint64_t request = 0;
  std::optional<Entry> entry{};
};
struct Pong {
  std::uint64_t request = 0;
};
// The watch is no longer live: so many updates of its stream are not sent. Chunks and caught_up
// follow.
struct Gap {
  std::uint64_t request = 0;
  std::optional<std::uint64_t> missed{};  // nothing: the partition has a new history
};
// A connection as operators see it.
struct ClientInfo {
  std::uint64_t connection = 0;  // for Kick
  std::string peer{};            // address
  std::string name{};            // as the client calls itself; with security that of its key
  std::string protocol{};        // "native 2, canopy 0.1", "kvsimple updates"
  std::vector<std::string> subscriptions{};  // at most max_shown_subscriptions; then "…"
  std::uint64_t queued_bytes = 0;
  std::uint64_t missed = 0;     // updates that were not sent
  std::uint64_t catch_ups = 0;  // after the first of each watch
  std::uint64_t age_ms = 0;     // since it was accepted

  bool operator==(const ClientInfo&) const = default;
};
inline constexpr std::size_t max_shown_subscriptions = 16;
// In the order of their connections.
struct ClientList {
  std::uint64_t request = 0;
  bool more = false;  // another list of the same request follows
  std::vector<ClientInfo> clients{};
};
struct Kicked {
  std::uint64_t request = 0;
};
// To every live watch of a stream.
struct BatchHeader {
  std::uint64_t stream = 0;  // never used again by this proxy or a later process of its name
  std::uint64_t after = 0;   // updates that the stream had carried before this batch
  std::uint32_t count = 0;   // updates in this batch; 0: a heartbeat
  Revisions revisions{};     // what the subtree's partitions have reached by its end
};
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
struct Refusal {
  std::uint64_t request = 0;  // or number; 0: the request could not be read that far
  Fault fault = Fault::none;
  std::string text{};
  keyspace::Revision revision{};  // revision_mismatch: the entry's (0: there is none)
  unsigned of = 0;                // kind of the request; 0: unknown
};
using FromProxy = std::variant<Welcome, Written, Chunk, CaughtUp, Got, Pong, Gap, Batch, Move,
                               Refusal, ClientList, Kicked>;

std::string encode(const Welcome& welcome);
std::string encode(const Written& written);
std::string encode_chunk(const ChunkHeader& header, std::string_view entries);
// What its entries follow.
std::string encode(const ChunkHeader& header);
std::string encode(const CaughtUp& caught_up);
// Nothing: there is no such key.
std::string encode_got(std::uint64_t request, const keyspace::Update* entry);
std::string encode(const Pong& pong);
std::string encode(const Gap& gap);
// `body`: the entries; or, with raw_bytes > 0, the LZ4 block that they make, raw_bytes unpacked.
std::string encode_batch(const BatchHeader& header, std::string_view body,
                         std::size_t raw_bytes = 0);
std::string encode(const Move& move);
std::string encode(const Refusal& refusal);
// Lists of about base::max_chunk_bytes.
std::vector<std::string> encode_clients(std::uint64_t request,
                                        const std::vector<ClientInfo>& clients);
std::string encode(const Kicked& kicked);
// An LZ4 block.
std::string compress(std::string_view entries);

// Overwrites `out`; a Batch or Chunk that it holds already lends its memory to the next.
base::Status decode_from_proxy(std::string_view frame, FromProxy& out);

// The request, or the refusal that answers it.
std::variant<ToProxy, Refusal> decode_to_proxy(std::string_view frame);

}  // namespace canopy::wire::native
