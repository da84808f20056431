// Each decoder of the folder as one function from a frame to what encoding the result again gives,
// with a frame of each message that it reads. For the unit tests here and for tests/fuzz.
#pragma once

#include <cassert>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/wire/link.h"
#include "core/wire/native_broker.h"
#include "core/wire/pack.h"
#include "core/wire/replication.h"

namespace canopy::wire {

struct Decoder {
  const char* name;
  // Nothing for a frame that is refused.
  std::optional<std::string> (*again)(std::string_view frame);
  std::vector<std::string> samples;
};

template <typename... Messages, typename Encode>
std::optional<std::string> encode_again(const base::Result<std::variant<Messages...>>& decoded,
                                        Encode&& encode) {
  if (!decoded) return std::nullopt;
  return std::visit(encode, *decoded);
}

inline keyspace::UpdatePtr sample_update(std::string_view key, keyspace::Revision revision) {
  return make_update(
      {.key = key, .value = std::string_view("\0binary\xff", 8), .revision = revision});
}

// A plain put, a delete, and one with everything; of three revisions that follow one another.
inline std::vector<keyspace::UpdatePtr> sample_updates(keyspace::Revision after) {
  return {sample_update("/a", after.next()),
          make_update({.key = "/b", .revision = after.next().next(), .deleted = true}),
          make_update({.key = "/c",
                       .value = std::string(300, 'v'),
                       .properties = "ttl=3\n",
                       .uuid = std::string(64, 'u'),
                       .revision = after.next().next().next(),
                       .expires_at_ms = 1'800'000'000'000})};
}

inline std::vector<Write> sample_writes() {
  return {{.key = "/a", .value = "v", .ttl_ms = 5000, .properties = "p=1\n"},
          {.key = "/b", .deletes = true, .if_revision = keyspace::Revision(5, 41)},
          {.key = "/c", .if_revision = keyspace::Revision()}};
}

inline WriteRequest sample_request() {
  return {.client = std::string(16, 'c'), .number = 8, .settled = 6, .writes = sample_writes()};
}

inline std::vector<Decoder> link_decoders() {
  const keyspace::Revision after(5, 41);
  const auto updates = sample_updates(after);
  static constexpr auto pack = [](const auto& message) { return encode(message); };
  return {
      {.name = "link_to_shard",
       .again = [](std::string_view frame) { return encode_again(decode_to_shard(frame), pack); },
       .samples =
           {encode(Writes{{{.reply_to = std::string("\0abcd", 5), .request = sample_request()},
                           {.request = {.writes = {{.key = "/clone",
                                                    .value = "v",
                                                    .uuid = std::string(16, 'u'),
                                                    .once = true}}}}}}),
            encode(Sync{.request = 7, .partition = "/results/", .since = after, .lineage = 99}),
            encode(Credit{.request = 7, .chunks = 2})}},
      {.name = "link_from_shard",
       .again = [](std::string_view frame) { return encode_again(decode_from_shard(frame), pack); },
       .samples = {encode(Chunk{.request = 7,
                                .number = 3,
                                .partition = "",
                                .lineage = 99,
                                .kind = Chunk::Kind::snapshot,
                                .revision = after,
                                .floor = keyspace::Revision(5, 1),
                                .last = true,
                                .updates = updates}),
                   encode(Refused{.request = 7, .partition = "/results/", .why = "loading"}),
                   encode(Answers{{{.reply_to = "abcd", .number = 8, .revision = after},
                                   {.reply_to = "efgh",
                                    .number = 9,
                                    .fault = Fault::revision_mismatch,
                                    .text = "other",
                                    .revision = after}}})}},
      {.name = "link_batch",
       .again = [](std::string_view frame) -> std::optional<std::string> {
         const auto batch = decode_batch(frame);
         return batch ? std::optional(encode(*batch)) : std::nullopt;
       },
       .samples = {encode(Batch{.partition = "/results/",
                                .lineage = 99,
                                .after = after,
                                .committed = base::TimePoint(base::Duration(123)),
                                .updates = updates}),
                   encode(Batch{.partition = "", .after = after})}},
      {.name = "update",
       .again = [](std::string_view bytes) -> std::optional<std::string> {
         const auto update = decode_update(bytes);
         return update ? std::optional(std::string(make_update(**update)->encoded()))
                       : std::nullopt;
       },
       .samples = {std::string(updates[0]->encoded()), std::string(updates[1]->encoded()),
                   std::string(updates[2]->encoded())}},
  };
}

inline std::vector<keyspace::LogEntry> sample_log_entries(keyspace::Revision after) {
  const auto updates = sample_updates(after);
  const auto request = std::make_shared<const keyspace::AppliedRequest>(
      keyspace::AppliedRequest{std::string(16, 'c'), 300, 299, updates[2]->revision});
  return {{.update = updates[0]},
          {.update = updates[1], .completes = false},
          {.update = updates[2], .request = request}};
}

inline Follow sample_follow() {
  return {.partition = "/results/",
          .shard = "s1",
          .identity = "9f2c",
          .epoch = 7,
          .session = 1ull << 50,
          .committed = {5, 41},
          .history = {{4, 1, 0}, {5, UINT64_MAX, 43}}};
}

inline Append sample_append() {
  return {.partition = "/results/",
          .epoch = 7,
          .session = 1ull << 50,
          .number = 3,
          .of_epoch = 5,
          .of_lineage = UINT64_MAX,
          .after = {5, 41},
          .committed = {5, 44},
          .entries = sample_log_entries({5, 41})};
}

inline Snapshot sample_snapshot() {
  return {.partition = "",
          .epoch = 7,
          .session = 9,
          .cut = {5, 44},
          .history = {{5, 50, 44}},
          .updates = {sample_update("/a", {5, 42}), sample_update("/b", {3, 1})},
          .requests = {{std::string(16, 'c'), 8, 6, {5, 44}}, {"d", 1, 0, {5, 43}}}};
}

inline std::vector<Decoder> replication_decoders() {
  std::vector<std::string> entries(3);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    append_log_entry(entries[i], sample_log_entries({5, 41})[i]);
  }
  static constexpr auto pack_to_leader = [](const auto& message) {
    return encode(ToLeader(message));
  };
  static constexpr auto pack_to_follower = [](const auto& message) {
    return encode(ToFollower(message));
  };
  return {
      {.name = "replication_to_leader",
       .again =
           [](std::string_view frame) {
             return encode_again(decode_to_leader(frame), pack_to_leader);
           },
       .samples = {encode(ToLeader(sample_follow())),
                   encode(ToLeader(Follow{.partition = "/a/", .shard = "s2"})),
                   encode(ToLeader(Stored{"/results/", "s1", "9f2c", 7, 9, {5, 44}}))}},
      {.name = "replication_to_follower",
       .again =
           [](std::string_view frame) {
             return encode_again(decode_to_follower(frame), pack_to_follower);
           },
       .samples =
           {encode(ToFollower(sample_append())),
            encode(ToFollower(Append{
                .partition = "", .epoch = 7, .of_epoch = 7, .of_lineage = 1, .after = {5, 41}})),
            encode(ToFollower(sample_snapshot())),
            encode(ToFollower(Snapshot{.partition = "/a/", .epoch = 7, .last = true})),
            encode(ToFollower(Unled{"/results/", 8, 9, "9f2c"}))}},
      {.name = "log_entry",
       .again = [](std::string_view bytes) -> std::optional<std::string> {
         const auto entry = decode_log_entry(bytes);
         if (!entry) return std::nullopt;
         std::string out;
         append_log_entry(out, {make_update(*entry->update), entry->request, entry->completes});
         return out;
       },
       .samples = entries},
  };
}

namespace native {

inline std::string pack_entries(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) append_entry(out, entry);
  return out;
}

inline std::string encode(const Chunk& chunk) {
  return encode_chunk(chunk.header, pack_entries(chunk.entries));
}

inline std::string encode(const Batch& batch) {
  return encode_batch(batch.header, pack_entries(batch.entries));
}

inline std::string encode(const Got& got) {
  if (!got.entry) return encode_got(got.request, nullptr);
  return encode_got(got.request, make_update(*got.entry).get());
}

inline std::string encode(const ClientList& list) {
  std::string frame = encode_clients(list.request, list.clients).front();
  std::string request;
  Packer(request).number(list.request);
  frame.at(4 + request.size()) = list.more ? 1 : 0;  // behind version, array and kind
  return frame;
}

inline constexpr auto pack = [](const auto& message) { return encode(message); };

// What is refused is refused by a message that the client can read.
template <typename Request>
std::optional<std::string> request_again(const std::variant<Request, Refusal>& decoded) {
  if (const Request* request = std::get_if<Request>(&decoded)) return std::visit(pack, *request);
  [[maybe_unused]] const auto reread = decode_from_broker(pack(std::get<Refusal>(decoded)));
  assert(reread && std::holds_alternative<Refusal>(*reread));
  return std::nullopt;
}

inline std::optional<std::string> from_proxy_again(std::string_view frame) {
  FromProxy message;
  if (!decode_from_proxy(frame, message)) return std::nullopt;
  return std::visit(pack, message);
}

inline std::string sample_entries() {
  std::string entries;
  for (const auto& update : sample_updates({5, 41})) append_entry(entries, *update);
  return entries;
}

inline Batch sample_batch() {
  return {.header = {.stream = 1ull << 63,
                     .after = 70'000,
                     .count = 3,
                     .revisions = {{"", {5, 44}}, {"/results/", {1, 2}}}}};
}

// The same batch plain and compressed.
inline std::string plain_batch() { return encode_batch(sample_batch().header, sample_entries()); }
inline std::string packed_batch() {
  const std::string entries = sample_entries();
  return encode_batch(sample_batch().header, compress(entries), entries.size());
}

inline std::string heartbeat() {
  BatchHeader header = sample_batch().header;
  header.count = 0;
  return encode_batch(header, {});
}

inline ChunkHeader sample_chunk() {
  return {.request = 9,
          .partition = "/results/",
          .mode = ChunkHeader::Mode::changes,
          .revision = {5, 44},
          .more = ChunkHeader::More::next_partition,
          .count = 3};
}

inline Watch sample_watch() {
  return {.request = 9,
          .subscription = {.subtree = "/results/", .latest_ms = 258, .lz4 = true},
          .known = {{"/results/", {5, 44}}, {"/results/eu/", {1, 2}}}};
}

inline ClientList sample_clients() {
  return {.request = 9,
          .more = true,
          .clients = {{.connection = 300,
                       .peer = "127.0.0.1:40000",
                       .name = "dashboard",
                       .protocol = "native 2, canopy 0.1",
                       .subscriptions = {"/results/", "/results/eu/a"},
                       .queued_bytes = 1,
                       .missed = 2,
                       .catch_ups = 3,
                       .age_ms = 70'000},
                      {.connection = 301, .protocol = "kvsimple updates"}}};
}

inline Refusal sample_refusal() {
  return {.request = 9,
          .fault = Fault::revision_mismatch,
          .text = "other",
          .revision = {5, 44},
          .of = static_cast<unsigned>(Kind::write)};
}

// A sound message of each kind.
inline std::vector<std::string> to_proxy_samples() {
  return {encode(Announce{.request = 1,
                          .client = std::string(client_id_bytes, 'c'),
                          .name = "dashboard",
                          .software = "canopy 0.1"}),
          encode(Announce{.request = 1}),
          encode(sample_request()),
          encode(sample_watch()),
          encode(Watch{.request = 1, .subscription = {.subtree = "/results/a"}}),
          encode(Unwatch{.request = 9}),
          encode(Get{.request = 9, .key = "/results/a"}),
          encode(List{.request = 9, .subtree = "/results/", .limit = 300}),
          encode(Ping{.request = 9}),
          encode(Clients{.request = 9}),
          encode(Kick{.request = 9, .connection = 300})};
}

inline std::vector<std::string> from_proxy_samples() {
  const auto updates = sample_updates({5, 41});
  return {encode(Welcome{.request = 1, .proxy = "p1"}),
          encode(Written{.number = 8, .revision = {5, 44}}),
          encode_chunk(sample_chunk(), sample_entries()),
          encode_chunk({.request = 1}, {}),
          encode(CaughtUp{.request = 9, .stream = 77, .position = 70'003}),
          encode_got(9, updates[2].get()),
          encode_got(9, nullptr),
          encode(Pong{.request = 9}),
          encode(Gap{.request = 9, .missed = 300}),
          encode(Gap{.request = 9}),
          plain_batch(),
          packed_batch(),
          heartbeat(),
          encode(Move{.within_ms = 10'000}),
          encode(sample_refusal()),
          encode(sample_clients()),
          encode(ClientList{.request = 9}),
          encode(Kicked{.request = 9})};
}

inline std::vector<Decoder> native_decoders() {
  return {
      {.name = "native_to_proxy",
       .again = [](std::string_view frame) { return request_again(decode_to_proxy(frame)); },
       .samples = to_proxy_samples()},
      {.name = "native_from_proxy", .again = from_proxy_again, .samples = from_proxy_samples()},
      {.name = "native_to_broker",
       .again = [](std::string_view frame) { return request_again(decode_to_broker(frame)); },
       .samples = {encode(Directory{.request = 3, .prefix = "proxies/"}),
                   encode(Drain{.request = 4, .name = "proxy-1"}), encode(Reload{.request = 5}),
                   encode(Backup{.request = 6, .shard = "s1", .name = "b", .order = "o"})}},
      {.name = "native_from_broker",
       .again =
           [](std::string_view frame) { return encode_again(decode_from_broker(frame), pack); },
       .samples = {encode(Members{
                       .request = 3,
                       .members = {{"proxies/p1", R"({"state":"ready"})"}, {"shards/a", "{}"}}}),
                   encode(Drained{.request = 4}), encode(BackupOrdered{.request = 6}),
                   encode(Reloaded{.request = 5, .settings = {"proxies.p1.max_linger_ms"}}),
                   encode(sample_refusal())}},
  };
}

}  // namespace native
}  // namespace canopy::wire
