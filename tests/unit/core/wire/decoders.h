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
#include "core/wire/native.h"

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

inline keyspace::UpdatePtr sample_update(std::string key, keyspace::Revision revision) {
  return std::make_shared<keyspace::Update>(keyspace::Update{
      .key = std::move(key), .value = std::string("\0binary\xff", 8), .revision = revision});
}

// A plain put, a delete, and one with everything; of three revisions that follow one another.
inline std::vector<keyspace::UpdatePtr> sample_updates(keyspace::Revision after) {
  keyspace::Update gone{.key = "/b", .revision = after.next().next(), .deleted = true};
  keyspace::Update rich{.key = "/c",
                        .value = std::string(300, 'v'),
                        .properties = "ttl=3\n",
                        .uuid = std::string(64, 'u'),
                        .revision = after.next().next().next(),
                        .expires_at_ms = 1'800'000'000'000};
  return {sample_update("/a", after.next()), std::make_shared<keyspace::Update>(std::move(gone)),
          std::make_shared<keyspace::Update>(std::move(rich))};
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
      {.name = "link_update",
       .again = [](std::string_view bytes) -> std::optional<std::string> {
         const auto update = decode_update(bytes);
         return update ? std::optional(encode(**update)) : std::nullopt;
       },
       .samples = {encode(*updates[0]), encode(*updates[1]), encode(*updates[2])}},
  };
}

namespace native {

inline std::string pack_entries(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) {
    append_entry(out, {.key = std::string(entry.key),
                       .value = std::string(entry.value),
                       .properties = std::string(entry.properties),
                       .revision = entry.revision,
                       .expires_at_ms = entry.expires_at_ms,
                       .deleted = entry.deleted});
  }
  return out;
}

inline std::string encode(const Chunk& chunk) {
  return encode_chunk(chunk.header, pack_entries(chunk.entries));
}

inline std::optional<std::string> stream_again(std::string_view frame) {
  Batch batch;
  const auto move = decode_stream(frame, batch);
  if (!move) return std::nullopt;
  if (*move) return encode_move(topic_of(frame), (*move)->within_ms);
  return encode_batch(topic_of(frame), batch.header, pack_entries(batch.entries));
}

inline constexpr auto pack = [](const auto& message) { return encode(message); };

// What is refused is refused by a message that the client can read.
template <typename Request>
std::optional<std::string> request_again(const std::variant<Request, Refusal>& decoded) {
  if (const Request* request = std::get_if<Request>(&decoded)) return std::visit(pack, *request);
  [[maybe_unused]] const auto told = decode_from_broker(pack(std::get<Refusal>(decoded)));
  assert(told && std::holds_alternative<Refusal>(*told));
  return std::nullopt;
}

inline std::string sample_entries() {
  std::string entries;
  for (const auto& update : sample_updates({5, 41})) append_entry(entries, *update);
  return entries;
}

// Of these, the second says compressed what the first says.
inline std::vector<std::string> sample_stream() {
  const std::string name = topic({.subtree = "/", .latest_ms = 100, .lz4 = true});
  const std::string entries = sample_entries();
  const BatchHeader header{.incarnation = 1ull << 63,
                           .after = 70'000,
                           .count = 3,
                           .revisions = {{"", {5, 44}}, {"/results/", {1, 2}}}};
  BatchHeader heartbeat = header;
  heartbeat.count = 0;
  return {encode_batch(name, header, entries),
          encode_batch(name, header, compress(entries), entries.size()),
          encode_batch(topic({}), heartbeat, {}), encode_move(name, 10'000)};
}

inline std::vector<Decoder> native_decoders() {
  const std::string name = topic({.subtree = "/results/", .latest_ms = 258, .lz4 = true});
  const ChunkHeader header{.request = 9,
                           .number = 2,
                           .partition = "/results/",
                           .mode = ChunkHeader::Mode::changes,
                           .revision = {5, 44},
                           .more = ChunkHeader::More::next_partition,
                           .incarnation = 77,
                           .position = 70'003,
                           .count = 3};
  const Refusal refusal{
      .request = 9, .fault = Fault::revision_mismatch, .text = "other", .revision = {5, 44}};
  return {
      {.name = "native_to_proxy",
       .again = [](std::string_view frame) { return request_again(decode_to_proxy(frame)); },
       .samples = {encode(sample_request()),
                   encode(Fetch{.request = 9,
                                .topic = name,
                                .subtree = "/results/",
                                .known = {{"/results/", {5, 44}}, {"/results/eu/", {1, 2}}},
                                .gap = Gap{.incarnation = 77, .had = 5, .saw = 9},
                                .credit = 4}),
                   encode(Fetch{.request = 1, .subtree = "/results/a"}),
                   encode(Credit{.request = 9, .chunks = 2})}},
      {.name = "native_from_proxy",
       .again = [](std::string_view frame) { return encode_again(decode_from_proxy(frame), pack); },
       .samples = {encode(Written{.request = 8, .revision = {5, 44}}),
                   encode_chunk(header, sample_entries()), encode_chunk({.request = 1}, {}),
                   encode(refusal)}},
      {.name = "native_stream", .again = stream_again, .samples = sample_stream()},
      {.name = "native_topic",
       .again = [](std::string_view bytes) -> std::optional<std::string> {
         const auto subscription = parse_topic(bytes);
         return subscription ? std::optional(topic(*subscription)) : std::nullopt;
       },
       .samples = {name, topic({}), topic({.subtree = "/results/a"})}},
      {.name = "native_to_broker",
       .again = [](std::string_view frame) { return request_again(decode_to_broker(frame)); },
       .samples = {encode(Directory{.request = 3, .prefix = "proxies/"}),
                   encode(Drain{.request = 4, .name = "proxy-1"})}},
      {.name = "native_from_broker",
       .again =
           [](std::string_view frame) { return encode_again(decode_from_broker(frame), pack); },
       .samples = {encode(Members{
                       .request = 3,
                       .members = {{"proxies/p1", R"({"state":"ready"})"}, {"shards/a", "{}"}}}),
                   encode(Drained{.request = 4}), encode(refusal)}},
  };
}

}  // namespace native
}  // namespace canopy::wire
