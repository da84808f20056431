#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "core/wire/native_broker.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire::native {
namespace {

using keyspace::Revision;
using namespace std::string_literals;

// Decoded from a proxy, or the test fails.
template <typename Wanted>
Wanted read(std::string_view frame) {
  FromProxy message;
  const auto status = decode_from_proxy(frame, message);
  EXPECT_TRUE(status) << status.error();
  const Wanted* wanted = std::get_if<Wanted>(&message);
  EXPECT_NE(wanted, nullptr);
  return wanted == nullptr ? Wanted() : std::move(std::get<Wanted>(message));
}

bool readable(std::string_view frame) {
  FromProxy message;
  return decode_from_proxy(frame, message).ok();
}

template <typename Wanted>
Wanted read_request(std::string_view frame) {
  const auto decoded = decode_to_proxy(frame);
  const auto* request = std::get_if<ToProxy>(&decoded);
  EXPECT_NE(request, nullptr) << std::get<Refusal>(decoded).text;
  const Wanted* wanted = request == nullptr ? nullptr : std::get_if<Wanted>(request);
  EXPECT_NE(wanted, nullptr);
  return wanted == nullptr ? Wanted() : *wanted;
}

TEST(NativeSubtree, IsASubtreeOrAKey) {
  for (const char* good : {"", "/", "/a/", "/a", "a"}) EXPECT_TRUE(is_watchable(good)) << good;
  for (const std::string& bad : {"HUGZ"s, "/a\n/"s, "/a\0"s, std::string(256, '/')}) {
    EXPECT_FALSE(is_watchable(bad)) << testing::PrintToString(bad);
  }
}

TEST(NativeSubtree, Covers) {
  EXPECT_TRUE(covers("", "/a"));
  EXPECT_TRUE(covers("/a/", "/a/b/c"));
  EXPECT_TRUE(covers("/a/b", "/a/b"));
  EXPECT_FALSE(covers("/a/b", "/a/bc"));
  EXPECT_FALSE(covers("/a/", "/a"));
  EXPECT_FALSE(covers("/a/", "/b/c"));
}

TEST(NativeRequests, FieldsArriveInTheirPlaces) {
  const auto samples = to_proxy_samples();
  const auto announce = read_request<Announce>(samples[0]);
  EXPECT_EQ(announce.request, 1u);
  EXPECT_EQ(announce.client, std::string(16, 'c'));
  EXPECT_EQ(announce.name, "dashboard");
  EXPECT_EQ(announce.software, "canopy 0.1");
  EXPECT_TRUE(read_request<Announce>(samples[1]).client.empty()) << "one that does not write";
  const auto write = read_request<WriteRequest>(samples[2]);
  EXPECT_TRUE(write.client.empty()) << "the announce names it";
  EXPECT_EQ(write.number, 8u);
  EXPECT_EQ(write.settled, 6u);
  ASSERT_EQ(write.writes.size(), 3u);
  EXPECT_EQ(write.writes[0].ttl_ms, 5000);
  EXPECT_EQ(write.writes[1].if_revision, Revision(5, 41));
  EXPECT_TRUE(write.writes[1].deletes);
  EXPECT_FALSE(write.writes[2].deletes);
  const auto watch = read_request<Watch>(samples[3]);
  EXPECT_EQ(watch.request, 9u);
  EXPECT_EQ(watch.subscription,
            (Subscription{.subtree = "/results/", .latest_ms = 258, .lz4 = true}));
  EXPECT_EQ(watch.known, (Revisions{{"/results/", {5, 44}}, {"/results/eu/", {1, 2}}}));
  EXPECT_EQ(read_request<Unwatch>(samples[5]).request, 9u);
  EXPECT_EQ(read_request<Get>(samples[6]).key, "/results/a");
  const auto list = read_request<List>(samples[7]);
  EXPECT_EQ(list.subtree, "/results/");
  EXPECT_EQ(list.limit, 300u);
  EXPECT_EQ(read_request<Ping>(samples[8]).request, 9u);
  EXPECT_EQ(read_request<Clients>(samples[9]).request, 9u);
  EXPECT_EQ(read_request<Kick>(samples[10]).connection, 300u);
}

TEST(NativeBatch, ArrivesWhole) {
  FromProxy message;
  for (const std::string& frame : {plain_batch(), packed_batch()}) {
    ASSERT_TRUE(decode_from_proxy(frame, message));
    const Batch& batch = std::get<Batch>(message);
    EXPECT_EQ(batch.header.stream, 1ull << 63);
    EXPECT_EQ(batch.header.after, 70'000u);
    EXPECT_EQ(batch.end(), 70'003u);
    EXPECT_EQ(batch.header.revisions, (Revisions{{"", {5, 44}}, {"/results/", {1, 2}}}));
    ASSERT_EQ(batch.entries.size(), 3u);
    EXPECT_EQ(batch.entries[0].key, "/a");
    EXPECT_EQ(batch.entries[0].value, std::string_view("\0binary\xff", 8));
    EXPECT_FALSE(batch.entries[0].deleted);
    EXPECT_TRUE(batch.entries[1].deleted);
    EXPECT_EQ(batch.entries[1].revision, Revision(5, 43));
    EXPECT_TRUE(batch.entries[1].value.empty());
    EXPECT_EQ(batch.entries[2].expires_at_ms, 1'800'000'000'000);
    EXPECT_EQ(batch.entries[2].properties, "ttl=3\n");
  }
}

// The memory is used again; nothing of the message before is left in it.
TEST(NativeBatch, LeavesNothingToTheNext) {
  FromProxy message;
  ASSERT_TRUE(decode_from_proxy(plain_batch(), message));
  ASSERT_TRUE(decode_from_proxy(heartbeat(), message));
  EXPECT_TRUE(std::get<Batch>(message).entries.empty());
  std::string plain;
  for (int i = 0; i < 3; ++i) append_entry(plain, {.key = "/a"});
  ASSERT_TRUE(decode_from_proxy(plain_batch(), message));
  ASSERT_TRUE(decode_from_proxy(encode_batch({.count = 3}, plain), message));
  const Batch& batch = std::get<Batch>(message);
  EXPECT_TRUE(batch.header.revisions.empty());
  EXPECT_EQ(batch.entries.at(2).expires_at_ms, 0);
  EXPECT_TRUE(batch.entries.at(2).properties.empty());
  EXPECT_FALSE(batch.entries.at(1).deleted);
}

TEST(NativeBatch, AnEmptyValueIsNoDeletion) {
  std::string entries;
  append_entry(entries, {.key = "/a"});
  EXPECT_FALSE(read<Batch>(encode_batch({.count = 1}, entries)).entries.at(0).deleted);
}

TEST(NativeBatch, RevisionsComeInOrder) {
  const Revisions shuffled{{"/b/", {1, 1}}, {"", {1, 2}}, {"/a/", {1, 3}}};
  EXPECT_EQ(read<Batch>(encode_batch({.revisions = shuffled}, {})).header.revisions,
            (Revisions{{"", {1, 2}}, {"/a/", {1, 3}}, {"/b/", {1, 1}}}));
}

TEST(NativeBatch, IsRefusedWhenItContradictsItself) {
  const std::string entries = sample_entries();
  const auto taken = [&](const BatchHeader& header, std::string_view body, std::size_t raw = 0) {
    return readable(encode_batch(header, body, raw));
  };
  EXPECT_TRUE(taken({.count = 3}, entries));
  EXPECT_FALSE(taken({.count = 2}, entries));
  EXPECT_FALSE(taken({.count = 4}, entries));
  EXPECT_FALSE(taken({.count = 0}, entries));
  EXPECT_FALSE(taken({.count = 3}, entries + "\xc0"));
  EXPECT_FALSE(taken({.count = 1}, "\x94\xa2/a\x01\xc0\x02"));
  EXPECT_FALSE(taken({.count = 1}, "\x93\xa4HUGZ\x01\xc0"));
  EXPECT_FALSE(taken({.revisions = {{"/a/", {1, 1}}, {"/b/", {1, 1}}, {"/a/", {1, 1}}}}, {}));
  EXPECT_FALSE(taken({.revisions = {{"/a", {1, 1}}}}, {}));
  EXPECT_TRUE(taken({.after = UINT64_MAX - 3, .count = 3}, entries));
  EXPECT_FALSE(taken({.after = UINT64_MAX - 2, .count = 3}, entries));
}

TEST(NativeBatch, HoldsLargestEntryAndNoMore) {
  const auto taken = [&](std::size_t value_bytes, std::size_t property_bytes) {
    std::string entries;
    append_entry(entries, {.key = std::string(base::max_key_bytes, 'k'),
                           .value = std::string(value_bytes, 'v'),
                           .properties = std::string(property_bytes, 'p')});
    const bool plain = readable(encode_batch({.count = 1}, entries));
    EXPECT_EQ(readable(encode_batch({.count = 1}, compress(entries), entries.size())), plain);
    EXPECT_EQ(readable(encode_chunk({.request = 1, .count = 1}, entries)), plain);
    return plain;
  };
  EXPECT_TRUE(taken(base::max_value_bytes, base::max_properties_bytes));
  EXPECT_FALSE(taken(base::max_value_bytes + 1, 0));
  EXPECT_FALSE(taken(0, base::max_properties_bytes + 1));
  std::string many;
  for (std::size_t i = 0; i <= max_entries; ++i) append_entry(many, {.key = "k"});
  const auto batch_of = [&](std::uint32_t count) {
    const std::string entries = many.substr(0, many.size() / (max_entries + 1) * count);
    return readable(encode_batch({.count = count}, entries));
  };
  EXPECT_TRUE(batch_of(max_entries));
  EXPECT_FALSE(batch_of(max_entries + 1));
}

TEST(NativeBatch, RefusesBlocksThatAreNotWhatTheySay) {
  const std::string entries = sample_entries();
  const std::string block = compress(entries);
  FromProxy message;
  const auto taken = [&](std::string_view body, std::size_t raw_bytes, std::uint32_t count = 3) {
    return decode_from_proxy(encode_batch({.count = count}, body, raw_bytes), message).ok();
  };
  EXPECT_TRUE(taken(block, entries.size()));
  EXPECT_FALSE(taken(block, entries.size() + 1));
  EXPECT_FALSE(taken(block, entries.size() - 1));
  EXPECT_FALSE(taken(block, 1));
  EXPECT_FALSE(taken({}, entries.size()));
  EXPECT_FALSE(taken(entries, entries.size())) << "not a block";
  // A little that would unpack to a lot.
  const std::string zeros(8 * max_entries_bytes, '\0');
  const std::string bomb = compress(zeros);
  EXPECT_FALSE(taken(bomb, zeros.size()));
  EXPECT_FALSE(taken(bomb, max_entries_bytes));
  EXPECT_FALSE(taken(bomb, SIZE_MAX));
  EXPECT_LE(std::get<Batch>(message).unpacked.size(), max_entries_bytes);
  const std::string longest(max_entries_bytes, '\xc0');
  EXPECT_FALSE(taken(compress(longest), longest.size(), max_entries));
}

TEST(NativeReplies, FieldsArriveInTheirPlaces) {
  const auto frames = from_proxy_samples();
  EXPECT_EQ(read<Welcome>(frames[0]).proxy, "p1");
  EXPECT_EQ(read<Written>(frames[1]).number, 8u);
  EXPECT_EQ(read<Written>(frames[1]).revision, Revision(5, 44));
  const auto chunk = read<Chunk>(frames[2]);
  EXPECT_EQ(chunk.header.request, 9u);
  EXPECT_EQ(chunk.header.partition, "/results/");
  EXPECT_EQ(chunk.header.mode, ChunkHeader::Mode::changes);
  EXPECT_EQ(chunk.header.revision, Revision(5, 44));
  EXPECT_EQ(chunk.header.more, ChunkHeader::More::next_partition);
  ASSERT_EQ(chunk.entries.size(), 3u);
  EXPECT_EQ(chunk.entries[2].key, "/c");
  const auto caught_up = read<CaughtUp>(frames[4]);
  EXPECT_EQ(caught_up.request, 9u);
  EXPECT_EQ(caught_up.stream, 77u);
  EXPECT_EQ(caught_up.position, 70'003u);
  const auto got = read<Got>(frames[5]);
  EXPECT_EQ(got.request, 9u);
  ASSERT_TRUE(got.entry);
  EXPECT_EQ(got.entry->key, "/c");
  EXPECT_EQ(got.entry->properties, "ttl=3\n");
  EXPECT_FALSE(read<Got>(frames[6]).entry);
  EXPECT_EQ(read<Pong>(frames[7]).request, 9u);
  EXPECT_EQ(read<Gap>(frames[8]).missed, 300u);
  EXPECT_EQ(read<Gap>(frames[9]).missed, std::nullopt);
  EXPECT_EQ(read<Move>(frames[13]).within_ms, 10'000u);
  const auto refusal = read<Refusal>(frames[14]);
  EXPECT_EQ(refusal.request, 9u);
  EXPECT_EQ(refusal.fault, Fault::revision_mismatch);
  EXPECT_EQ(refusal.text, "other");
  EXPECT_EQ(refusal.revision, Revision(5, 44));
  EXPECT_EQ(refusal.of, 129u);
  const auto list = read<ClientList>(frames[15]);
  EXPECT_TRUE(list.more);
  EXPECT_EQ(list.clients, sample_clients().clients);
  EXPECT_EQ(read<Kicked>(frames[17]).request, 9u);
}

TEST(NativeReplies, AreRefusedBeyondTheirBounds) {
  const auto damaged = [](std::string frame, std::size_t at, char to) {
    frame.at(at) = to;
    return readable(frame);
  };
  // version · array · kind (2 bytes) · request · partition "" · mode · revision · more · count
  const std::string chunk = encode_chunk({.request = 1}, {});
  EXPECT_TRUE(damaged(chunk, 6, 1)) << "a mode of 1";
  EXPECT_FALSE(damaged(chunk, 6, 2)) << "a mode of 2";
  EXPECT_TRUE(damaged(chunk, 8, 2)) << "more of 2";
  EXPECT_FALSE(damaged(chunk, 8, 3)) << "more of 3";
  EXPECT_FALSE(damaged(chunk, 9, 1)) << "an entry that is not there";
  const std::string got = encode_got(1, nullptr);
  EXPECT_FALSE(damaged(got, 5, 1)) << "an entry that is not there";
  EXPECT_FALSE(damaged(got, 5, 2)) << "two entries";
}

TEST(NativeReplies, AFaultOfALaterVersionIsTakenByItsRange) {
  const auto refusal_of = [](unsigned fault) {
    return encode(Refusal{.fault = static_cast<Fault>(fault)});
  };
  EXPECT_TRUE(retriable(read<Refusal>(refusal_of(63)).fault));
  EXPECT_FALSE(retriable(read<Refusal>(refusal_of(31)).fault));
  EXPECT_FALSE(readable(refusal_of(0)));
  EXPECT_FALSE(readable(refusal_of(64)));
}

TEST(NativeBroker, FieldsArriveInTheirPlaces) {
  const auto directory = decode_to_broker(encode(Directory{.request = 3, .prefix = "proxies/"}));
  const auto& request = std::get<ToBroker>(directory);
  EXPECT_EQ(std::get<Directory>(request).request, 3u);
  EXPECT_EQ(std::get<Directory>(request).prefix, "proxies/");
  const auto drain = decode_to_broker(encode(Drain{.request = 4, .name = "p1"}));
  EXPECT_EQ(std::get<Drain>(std::get<ToBroker>(drain)).name, "p1");
  const auto reload = decode_to_broker(encode(Reload{.request = 5}));
  EXPECT_EQ(std::get<Reload>(std::get<ToBroker>(reload)).request, 5u);
  const auto reloaded =
      decode_from_broker(encode(Reloaded{.request = 5, .settings = {"log_level", "x"}}));
  ASSERT_TRUE(reloaded);
  EXPECT_EQ(std::get<Reloaded>(*reloaded).request, 5u);
  EXPECT_EQ(std::get<Reloaded>(*reloaded).settings, (std::vector<std::string>{"log_level", "x"}));
  const auto elect =
      decode_to_broker(encode(Elect{.request = 6, .partition = "/a/", .shard = "s1"}));
  EXPECT_EQ(std::get<Elect>(std::get<ToBroker>(elect)).request, 6u);
  EXPECT_EQ(std::get<Elect>(std::get<ToBroker>(elect)).partition, "/a/");
  EXPECT_EQ(std::get<Elect>(std::get<ToBroker>(elect)).shard, "s1");
  const auto no_subtree = decode_to_broker(encode(Elect{.request = 7, .partition = "/a"}));
  EXPECT_EQ(std::get<Refusal>(no_subtree).fault, Fault::bad_subtree);
  const auto elected = decode_from_broker(encode(Elected{.request = 6}));
  ASSERT_TRUE(elected);
  EXPECT_EQ(std::get<Elected>(*elected).request, 6u);
  const auto place =
      decode_to_broker(encode(Place{.request = 8, .partition = "", .shards = {"s2", "s1"}}));
  EXPECT_EQ(std::get<Place>(std::get<ToBroker>(place)).request, 8u);
  EXPECT_EQ(std::get<Place>(std::get<ToBroker>(place)).partition, "");
  EXPECT_EQ(std::get<Place>(std::get<ToBroker>(place)).shards,
            (std::vector<std::string>{"s2", "s1"}));
  const auto placed = decode_from_broker(encode(Placed{.request = 8}));
  ASSERT_TRUE(placed);
  EXPECT_EQ(std::get<Placed>(*placed).request, 8u);
  const auto split = decode_to_broker(encode(Split{.request = 9, .subtree = "/a/b/"}));
  EXPECT_EQ(std::get<Split>(std::get<ToBroker>(split)).request, 9u);
  EXPECT_EQ(std::get<Split>(std::get<ToBroker>(split)).subtree, "/a/b/");
  for (const char* subtree : {"", "/a"}) {
    const auto none = decode_to_broker(encode(Split{.request = 9, .subtree = subtree}));
    EXPECT_EQ(std::get<Refusal>(none).fault, Fault::bad_subtree);
  }
  const auto ordered = decode_from_broker(encode(SplitOrdered{.request = 9}));
  ASSERT_TRUE(ordered);
  EXPECT_EQ(std::get<SplitOrdered>(*ordered).request, 9u);
  const auto members = decode_from_broker(encode(Members{.request = 3, .members = {{"k", "v"}}}));
  ASSERT_TRUE(members);
  EXPECT_EQ(std::get<Members>(*members).members, (decltype(Members::members){{"k", "v"}}));
}

}  // namespace
}  // namespace canopy::wire::native
