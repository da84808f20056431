// The messages between shards and proxies. Every message is one frame: a MessagePack array that
// opens with the version of this protocol and the kind of the message.
//
//   proxy → shard (DEALER → ROUTER)
//     writes   [5, 1, [request…]]
//     sync     [5, 2, request, partition, since, lineage]
//     credit   [5, 3, request, chunks]
//   shard → proxy (ROUTER → DEALER)
//     chunk    [5, 16, request, number, partition, lineage, kind, revision, floor, last, count]
//              · entries
//     refused  [5, 17, request, partition, why]
//     answers  [5, 18, [answer…]]
//   shard → proxies (PUB → SUB), after the topic (subtree and a zero byte, so that no topic is
//   another's prefix)
//     batch    [5, 32, lineage, after, committed_us, count] · entries
//
//   request = [reply_to, client, number, settled, [write…]]
//   write   = [key, value | nil, ttl_ms, properties, uuid, once, if_revision | nil]; nil deletes
//   answer  = [reply_to, number, fault, text, revision]
//   entries = the updates as core/wire/entry.h encodes them, one after another
//
// Among the updates are the split entries: from its revision on a subtree is a partition of its
// own. A batch holds the updates after revision `after`, contiguous; an empty one is a heartbeat.
// A lineage names one leadership: 64 random bits, not 0, that a shard draws each time it begins to
// lead a partition. Revisions of different lineages cannot be compared, even if they are equal.
// A sync is answered by a replay (the contiguous updates after `since`) or, when `since` is too old
// or of another lineage, by a snapshot (the entries as of `revision`), in chunks under credit: the
// asker grants `initial_credit` chunks by asking and one more with each chunk it takes. A snapshot
// opens with the split entries of the partition and the deletions after `floor` that the log still
// knows, so that the asker can tell in its turn what changed since any revision from `floor` on.
// The chunks of an answer are numbered from 0. An asker without an answer sends its sync again
// under the same request: a shard that is still answering goes on where it was, another one starts
// at 0.
//
// Pure code over bytes; never throws on hostile input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/keyspace/update.h"
#include "core/wire/fault.h"
#include "core/wire/write.h"

namespace canopy::wire {

inline constexpr unsigned link_version = 5;
inline constexpr unsigned initial_credit = 16;
// Requests or updates in one message at most; senders split at this and at base::max_chunk_bytes.
inline constexpr std::size_t max_message_updates = 16'384;
// A routing id of libzmq.
inline constexpr std::size_t max_reply_to_bytes = 255;

// A request and the address of its answer: opaque to the shard, which returns it; empty: no answer.
struct RoutedRequest {
  std::string reply_to{};
  WriteRequest request{};
};

struct Writes {
  std::vector<RoutedRequest> requests{};
};

struct Sync {
  std::uint64_t request = 0;  // of the asker's choosing; another one replaces an earlier one
  std::string partition{};
  keyspace::Revision since{};  // 0: nothing is known, a snapshot is wanted
  std::uint64_t lineage = 0;   // that `since` belongs to; 0: none
};

struct Credit {
  std::uint64_t request = 0;
  std::uint32_t chunks = 1;
};

using ToShard = std::variant<Writes, Sync, Credit>;

struct Chunk {
  enum class Kind : std::uint8_t { replay = 0, snapshot = 1 };

  std::uint64_t request = 0;
  std::uint32_t number = 0;  // in its answer
  std::string partition{};
  std::uint64_t lineage = 0;
  Kind kind = Kind::replay;
  keyspace::Revision revision{};  // replay: of its last update (or `since`); snapshot: of the cut
  keyspace::Revision floor{};     // snapshot: later deletions are all told; replay: no meaning
  bool last = false;
  std::vector<keyspace::UpdatePtr> updates{};
};

struct Refused {
  std::uint64_t request = 0;
  std::string partition{};
  std::string why{};
};

struct Answer {
  std::string reply_to{};
  std::uint64_t number = 0;
  Fault fault = Fault::none;
  std::string text{};             // of the fault
  keyspace::Revision revision{};  // of the last write; revision_mismatch: the entry's
};

struct Answers {
  std::vector<Answer> answers{};
};

using FromShard = std::variant<Chunk, Refused, Answers>;

struct Batch {
  std::string partition{};
  std::uint64_t lineage = 0;
  keyspace::Revision after{};
  base::TimePoint committed{};
  std::vector<keyspace::UpdatePtr> updates{};

  keyspace::Revision end() const { return keyspace::Revision(after.value() + updates.size()); }
};

std::string encode(const Writes& writes);
std::string encode(const Sync& sync);
std::string encode(const Credit& credit);
std::string encode(const Chunk& chunk);
std::string encode(const Refused& refused);
std::string encode(const Answers& answers);
// Topic included.
std::string encode(const Batch& batch);

base::Result<ToShard> decode_to_shard(std::string_view frame);
base::Result<FromShard> decode_from_shard(std::string_view frame);
// Topic included.
base::Result<Batch> decode_batch(std::string_view frame);

// What to subscribe to for the batches of `partition`.
std::string batch_topic(std::string_view partition);

}  // namespace canopy::wire
