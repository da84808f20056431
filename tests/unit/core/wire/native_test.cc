#include "core/wire/native.h"

#include <gtest/gtest.h>

#include <random>

#include "core/base/limits.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire::native {
namespace {

using keyspace::Revision;
using namespace std::string_literals;

TEST(NativeTopic, SaysSubtreeAndOptions) {
  const std::string name = topic({.subtree = "/results/", .latest_ms = 258, .lz4 = true});
  EXPECT_EQ(name, "\x01\x01\x00\x00\x01\x02/results/\x00"s);
  EXPECT_EQ(*parse_topic(name),
            (Subscription{.subtree = "/results/", .latest_ms = 258, .lz4 = true}));
  EXPECT_EQ(topic_of(name + "\x92\x00\x01\x02"s), name);
  EXPECT_EQ(*parse_topic(topic({})), Subscription{});
}

TEST(NativeTopic, IsRefusedWhenItIsNone) {
  for (const std::string& bad :
       {""s, "\x01"s, "\x01\0\0\0\0\0"s, "\x01\0\0\0\0\0/a/"s, "\x02\0\0\0\0\0/a/\0"s,
        "\x01\x02\0\0\0\0/a/\0"s, "\x01\0\0\0\xea\x61/a/\0"s, "\x01\0\0\0\0\0/a\n/\0"s,
        "\x01\0\0\0\0\0/a/\0x"s, "\x01\0\0\0\0\0/a/\0\0"s, "\x01\0\0\0\0\0HUGZ\0"s}) {
    EXPECT_FALSE(parse_topic(bad)) << testing::PrintToString(bad);
  }
  EXPECT_TRUE(parse_topic("\x01\0\0\0\xea\x60/a/\0"s)) << "a minute";
  EXPECT_FALSE(parse_topic(topic({.subtree = std::string(base::max_key_bytes + 1, '/')})));
}

TEST(NativeTopic, NoneIsAnothersPrefix) {
  EXPECT_FALSE(topic({.subtree = "/a/b/"}).starts_with(topic({.subtree = "/a/"})));
  EXPECT_FALSE(topic({.subtree = "/a/"}).starts_with(topic({})));
}

TEST(NativeTopic, Covers) {
  EXPECT_TRUE(covers("", "/a"));
  EXPECT_TRUE(covers("/a/", "/a/b/c"));
  EXPECT_TRUE(covers("/a/b", "/a/b"));
  EXPECT_FALSE(covers("/a/b", "/a/bc"));
  EXPECT_FALSE(covers("/a/", "/a"));
  EXPECT_FALSE(covers("/a/", "/b/c"));
}

// The bytes of the specification, so that a change of them is no accident.
TEST(NativeBytes, AreThoseOfTheSpecification) {
  std::string entries;
  append_entry(entries, {.key = "/a", .value = "v", .revision = Revision(300)});
  EXPECT_EQ(entries, "\x93\xa2/a\xcd\x01\x2c\xc4\x01v"s);
  append_entry(entries, {.key = "/b", .revision = Revision(301), .deleted = true});
  EXPECT_EQ(entries.substr(10), "\x93\xa2/b\xcd\x01\x2d\xc0"s);
  std::string full;
  append_entry(full, {.key = "/a", .properties = "p", .revision = Revision(1), .expires_at_ms = 2});
  EXPECT_EQ(full, "\x95\xa2/a\x01\xc4\0\x02\xc4\x01p"s);
  EXPECT_EQ(
      encode_batch(topic({.subtree = "/"}),
                   {.incarnation = 7, .after = 8, .count = 2, .revisions = {{"", {}}}}, entries),
      "\x01\0\0\0\0\0/\0\x96\xcc\xa0\x07\x08\x02\x81\xa0\0\0"s + entries);
  EXPECT_EQ(encode_move(topic({}), 5), "\x01\0\0\0\0\0\0\x92\xcc\xa1\x05"s);
  EXPECT_EQ(encode(Credit{.request = 9, .chunks = 2}), "\x01\x93\xcc\x83\x09\x02"s);
  EXPECT_EQ(encode(Written{.request = 9, .revision = Revision(3)}), "\x01\x93\xcc\xc1\x09\x03"s);
  EXPECT_EQ(encode(Drained{.request = 9}), "\x01\x92\xcc\xd1\x09"s);
  EXPECT_EQ(encode(Fetch{.request = 1, .subtree = "/a"}),
            "\x01\x97\xcc\x82\x01\xc4\0\xa2/a\x80\xc0\x01"s);
  EXPECT_EQ(encode(WriteRequest{.client = std::string(16, 'c'),
                                .number = 2,
                                .settled = 1,
                                .writes = {{.key = "/a", .value = "v", .ttl_ms = 5}}}),
            "\x01\x95\xcc\x81\xc4\x10"s + std::string(16, 'c') +
                "\x02\x01\x91\x95\xa2/a\xc4\x01v\x05\xc0\xc4\0"s);
}

TEST(NativeStream, BatchesArriveWhole) {
  const auto frames = sample_stream();
  Batch batch;
  for (const std::string& frame : {frames[0], frames[1]}) {
    const auto move = decode_stream(frame, batch);
    ASSERT_TRUE(move) << move.error();
    EXPECT_FALSE(*move);
    EXPECT_EQ(batch.header.incarnation, 1ull << 63);
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
  // Nothing of the batch before is left in what is used again.
  ASSERT_TRUE(decode_stream(frames[2], batch));
  EXPECT_TRUE(batch.entries.empty());
  std::string plain;
  for (int i = 0; i < 3; ++i) append_entry(plain, {.key = "/a"});
  ASSERT_TRUE(decode_stream(frames[0], batch));
  ASSERT_TRUE(decode_stream(encode_batch(topic({}), {.count = 3}, plain), batch));
  EXPECT_TRUE(batch.header.revisions.empty());
  EXPECT_EQ(batch.entries.at(2).expires_at_ms, 0);
  EXPECT_TRUE(batch.entries.at(2).properties.empty());
  const auto move = decode_stream(frames[3], batch);
  ASSERT_TRUE(move && *move);
  EXPECT_EQ((*move)->within_ms, 10'000u);
}

TEST(NativeStream, AnEmptyValueIsNoDeletion) {
  std::string entries;
  append_entry(entries, {.key = "/a"});
  Batch batch;
  ASSERT_TRUE(decode_stream(encode_batch(topic({}), {.count = 1}, entries), batch));
  EXPECT_FALSE(batch.entries.at(0).deleted);
}

TEST(NativeStream, RevisionsComeInOrder) {
  Batch batch;
  const Revisions shuffled{{"/b/", {1, 1}}, {"", {1, 2}}, {"/a/", {1, 3}}};
  ASSERT_TRUE(decode_stream(encode_batch(topic({}), {.revisions = shuffled}, {}), batch));
  EXPECT_EQ(batch.header.revisions, (Revisions{{"", {1, 2}}, {"/a/", {1, 3}}, {"/b/", {1, 1}}}));
}

TEST(NativeStream, RefusesWhatContradictsItself) {
  const std::string name = topic({});
  const std::string entries = sample_entries();
  Batch batch;
  const auto taken = [&](const BatchHeader& header, std::string_view body, std::size_t raw = 0) {
    return decode_stream(encode_batch(name, header, body, raw), batch).ok();
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

TEST(NativeStream, HoldsLargestEntryAndNoMore) {
  Batch batch;
  const auto taken = [&](std::size_t value_bytes, std::size_t property_bytes) {
    std::string entries;
    append_entry(entries, {.key = std::string(base::max_key_bytes, 'k'),
                           .value = std::string(value_bytes, 'v'),
                           .properties = std::string(property_bytes, 'p')});
    const bool plain = decode_stream(encode_batch(topic({}), {.count = 1}, entries), batch).ok();
    const auto packed = encode_batch(topic({}), {.count = 1}, compress(entries), entries.size());
    EXPECT_EQ(decode_stream(packed, batch).ok(), plain);
    return plain;
  };
  EXPECT_TRUE(taken(base::max_value_bytes, base::max_properties_bytes));
  EXPECT_FALSE(taken(base::max_value_bytes + 1, 0));
  EXPECT_FALSE(taken(0, base::max_properties_bytes + 1));
  std::string many;
  for (std::size_t i = 0; i <= max_entries; ++i) append_entry(many, {.key = "k"});
  const auto batch_of = [&](std::uint32_t count) {
    const std::string entries = many.substr(0, many.size() / (max_entries + 1) * count);
    return decode_stream(encode_batch(topic({}), {.count = count}, entries), batch).ok();
  };
  EXPECT_TRUE(batch_of(max_entries));
  EXPECT_FALSE(batch_of(max_entries + 1));
}

TEST(NativeStream, RefusesBlocksThatAreNotWhatTheySay) {
  const std::string entries = sample_entries();
  const std::string block = compress(entries);
  Batch batch;
  const auto taken = [&](std::string_view body, std::size_t raw_bytes, std::uint32_t count = 3) {
    const auto frame = encode_batch(topic({.lz4 = true}), {.count = count}, body, raw_bytes);
    return decode_stream(frame, batch).ok();
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
  EXPECT_LE(batch.unpacked.size(), max_entries_bytes);
  const std::string most(max_entries_bytes, '\xc0');
  EXPECT_FALSE(taken(compress(most), most.size(), max_entries));
}

TEST(NativeAnswers, FieldsArriveInTheirPlaces) {
  const auto frames = native_decoders()[1].samples;
  const auto written = decode_from_proxy(frames[0]);
  ASSERT_TRUE(written);
  EXPECT_EQ(std::get<Written>(*written).request, 8u);
  EXPECT_EQ(std::get<Written>(*written).revision, Revision(5, 44));
  const auto chunk = decode_from_proxy(frames[1]);
  ASSERT_TRUE(chunk);
  const ChunkHeader& header = std::get<Chunk>(*chunk).header;
  EXPECT_EQ(header.request, 9u);
  EXPECT_EQ(header.number, 2u);
  EXPECT_EQ(header.partition, "/results/");
  EXPECT_EQ(header.mode, ChunkHeader::Mode::changes);
  EXPECT_EQ(header.revision, Revision(5, 44));
  EXPECT_EQ(header.more, ChunkHeader::More::next_partition);
  EXPECT_EQ(header.incarnation, 77u);
  EXPECT_EQ(header.position, 70'003u);
  ASSERT_EQ(std::get<Chunk>(*chunk).entries.size(), 3u);
  EXPECT_EQ(std::get<Chunk>(*chunk).entries[2].key, "/c");
  const auto refusal = decode_from_proxy(frames[3]);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(std::get<Refusal>(*refusal).fault, Fault::revision_mismatch);
  EXPECT_EQ(std::get<Refusal>(*refusal).text, "other");
  EXPECT_EQ(std::get<Refusal>(*refusal).revision, Revision(5, 44));
}

TEST(NativeAnswers, AFaultOfALaterVersionIsTakenByItsRange) {
  const auto fault_of = [](unsigned number) {
    const auto refusal = decode_from_proxy(encode(Refusal{.fault = static_cast<Fault>(number)}));
    return refusal ? static_cast<unsigned>(std::get<Refusal>(*refusal).fault) : 0;
  };
  EXPECT_EQ(fault_of(63), 63u);
  EXPECT_TRUE(retriable(static_cast<Fault>(fault_of(63))));
  EXPECT_EQ(fault_of(0), 0u);
  EXPECT_EQ(fault_of(64), 0u);
  EXPECT_FALSE(decode_from_proxy(encode(Refusal{})));
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
  const auto members = decode_from_broker(encode(Members{.request = 3, .members = {{"k", "v"}}}));
  ASSERT_TRUE(members);
  EXPECT_EQ(std::get<Members>(*members).members, (decltype(Members::members){{"k", "v"}}));
}

// --- any message -------------------------------------------------------------------------------

class Anything {
 public:
  explicit Anything(unsigned seed) : random_(seed) {}

  std::uint64_t number(std::uint64_t least, std::uint64_t most) {
    // Of any length, not only of the largest.
    const std::uint64_t spread = random_() >> (random_() % 64);
    return most - least == UINT64_MAX ? spread : least + spread % (most - least + 1);
  }
  std::uint32_t small(std::uint32_t least, std::uint32_t most) {
    return static_cast<std::uint32_t>(number(least, most));
  }
  bool coin() { return random_() % 2 == 0; }
  Revision revision() { return Revision(number(0, UINT64_MAX)); }
  std::string bytes(std::size_t most) {
    std::string bytes(number(0, most), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }
  std::string key() {
    std::string key = "/" + bytes(base::max_key_bytes - 1);
    for (char& c : key) c = static_cast<char>(c | 0x80);
    return key;
  }
  std::string subtree() { return coin() ? std::string() : key().substr(0, 200) + '/'; }
  Revisions revisions() {
    std::string name;
    Revisions all(number(0, 20));
    for (auto& each : all) each = {.partition = (name += '/'), .revision = revision()};
    return all;
  }
  Write write() {
    Write write{.key = key(), .deletes = coin(), .properties = bytes(base::max_properties_bytes)};
    write.ttl_ms = static_cast<std::int64_t>(number(0, max_ttl_ms));
    if (!write.deletes) write.value = bytes(70'000);
    if (coin()) write.if_revision = revision();
    return write;
  }
  std::string entries(std::uint32_t count) {
    std::string out;
    for (std::uint32_t i = 0; i < count; ++i) {
      keyspace::Update update{.key = key(), .revision = revision(), .deleted = coin()};
      if (!update.deleted) update.value = bytes(1000);
      if (coin()) update.properties = bytes(300);
      if (coin()) update.expires_at_ms = static_cast<std::int64_t>(number(0, INT64_MAX));
      append_entry(out, update);
    }
    return out;
  }

 private:
  std::mt19937_64 random_;
};

TEST(NativeProperty, AnyRequestComesBack) {
  Anything any(11);
  for (int i = 0; i < 300; ++i) {
    WriteRequest write{.client = std::string(16, static_cast<char>(i)),
                       .number = any.number(1, UINT64_MAX)};
    write.settled = any.number(0, write.number);
    for (auto count = any.number(1, 40); count > 0; --count) write.writes.push_back(any.write());
    Fetch fetch{.request = any.number(1, UINT64_MAX),
                .subtree = any.coin() ? any.key() : any.subtree(),
                .known = any.revisions(),
                .credit = any.small(1, max_credit)};
    if (any.coin()) fetch.gap = Gap{.incarnation = any.number(0, UINT64_MAX), .had = 4, .saw = 5};
    if (any.coin()) {
      fetch.topic = topic({fetch.subtree, any.small(0, max_latest_ms), any.coin()});
    }
    for (const std::string& frame : {encode(write), encode(fetch)}) {
      const auto decoded = decode_to_proxy(frame);
      ASSERT_TRUE(std::holds_alternative<ToProxy>(decoded)) << std::get<Refusal>(decoded).text;
      EXPECT_EQ(request_again(decoded), frame);
    }
  }
}

TEST(NativeProperty, AnyBatchAndChunkComesBack) {
  Anything any(12);
  for (int i = 0; i < 300; ++i) {
    const std::uint32_t count = any.small(0, 200);
    const std::string entries = any.entries(count);
    const std::string name = topic({any.subtree(), any.small(0, max_latest_ms), any.coin()});
    const BatchHeader header{.incarnation = any.number(0, UINT64_MAX),
                             .after = any.number(0, UINT64_MAX - count),
                             .count = count,
                             .revisions = any.revisions()};
    const std::string plain = encode_batch(name, header, entries);
    EXPECT_EQ(stream_again(plain), plain);
    if (count > 0) {
      EXPECT_EQ(stream_again(encode_batch(name, header, compress(entries), entries.size())), plain);
    }
    const std::string chunk = encode_chunk({.request = any.number(0, UINT64_MAX),
                                            .number = any.small(0, UINT32_MAX),
                                            .partition = any.subtree(),
                                            .revision = any.revision(),
                                            .more = ChunkHeader::More::same_partition,
                                            .incarnation = any.number(0, UINT64_MAX),
                                            .position = any.number(0, UINT64_MAX),
                                            .count = count},
                                           entries);
    const auto decoded = decode_from_proxy(chunk);
    ASSERT_TRUE(decoded) << decoded.error();
    EXPECT_EQ(encode(std::get<Chunk>(*decoded)), chunk);
  }
}

}  // namespace
}  // namespace canopy::wire::native
