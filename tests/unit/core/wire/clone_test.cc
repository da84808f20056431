#include "core/wire/clone.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/base/limits.h"
#include "core/wire/native.h"

namespace canopy::wire::clone {
namespace {

using namespace std::string_view_literals;
using Views = std::vector<std::string_view>;

constexpr std::string_view sequence = "\0\0\0\0\0\0\1\2"sv;
constexpr std::string_view uuid = "0123456789abcdef"sv;

ClientWrite accepted(Dialect dialect, const Views& frames) {
  const auto result = parse_write(dialect, frames);
  if (const auto* rejection = std::get_if<Rejection>(&result)) {
    ADD_FAILURE() << "refused: " << rejection->reason;
    return {};
  }
  return std::get<ClientWrite>(result);
}

std::string_view reason(Dialect dialect, const Views& frames) {
  const auto result = parse_write(dialect, frames);
  return std::holds_alternative<Rejection>(result) ? std::get<Rejection>(result).reason : "";
}

TEST(Clone, ReadsAKvsimpleUpdate) {
  const Write write = accepted(Dialect::kvsimple, {"/a", sequence, "body"}).write;
  EXPECT_EQ(write.key, "/a");
  EXPECT_EQ(write.value, "body");
  EXPECT_FALSE(write.deletes);
}

TEST(Clone, ReadsAKvmsgUpdateWithItsTimeToLive) {
  const Write write =
      accepted(Dialect::kvmsg, {"/a", sequence, uuid, "colour=red\nttl=30\n", "body"}).write;
  EXPECT_EQ(write.ttl_ms, 30'000);
  EXPECT_EQ(write.uuid, uuid);
  EXPECT_EQ(write.properties, "colour=red\nttl=30\n");
}

TEST(Clone, AnEmptyBodyDeletes) {
  EXPECT_TRUE(accepted(Dialect::chp, {"/a", sequence, "", "", ""}).write.deletes);
}

TEST(Clone, ReadsTheUuidsOfEveryLanguage) {
  for (const std::string_view id : {"0123456789abcdef", "0123456789abcdef0123456789abcdef",
                                    "01234567-89ab-cdef-0123-456789abcdef", "x", ""}) {
    const ClientWrite result = accepted(Dialect::chp, {"/a", sequence, id, "", "v"});
    EXPECT_EQ(result.write.uuid, id);
    EXPECT_EQ(result.write.once, !id.empty());
    EXPECT_EQ(result.ignored, "");
  }
  const std::string longest(base::max_uuid_bytes, 'u');
  EXPECT_EQ(accepted(Dialect::kvmsg, {"/a", sequence, longest, "", "v"}).write.uuid, longest);
}

TEST(Clone, IgnoresTheSequenceOfAWrite) {
  for (const std::size_t length : {0u, 1u, 4u, 7u, 8u, 9u, 255u}) {
    const std::string number(length, '\xff');
    EXPECT_EQ(accepted(Dialect::kvsimple, {"/a", number, "v"}).write.value, "v") << length;
    EXPECT_EQ(accepted(Dialect::kvmsg, {"/a", number, uuid, "", "v"}).write.value, "v") << length;
  }
}

TEST(Clone, ReadsATimeToLiveAsTheGuidesServersDo) {
  const auto ttl_ms = [](std::string_view properties) {
    const ClientWrite result = accepted(Dialect::kvmsg, {"/a", sequence, uuid, properties, "v"});
    EXPECT_EQ(result.ignored, "") << properties;
    EXPECT_EQ(result.write.properties, properties);
    return result.write.ttl_ms;
  };
  constexpr std::int64_t largest = native::max_ttl_ms;
  const std::vector<std::pair<std::string_view, std::int64_t>> read = {
      {"ttl=30\n", 30'000},
      {"ttl=30", 30'000},
      {"ttl=30.000000\n", 30'000},
      {"ttl=2.5\n", 2'500},
      {"ttl= 30\n", 30'000},
      {"ttl=\t+30 \r\n", 30'000},
      {"ttl=+30\n", 30'000},
      {"ttl=030\n", 30'000},
      {"ttl=30s\n", 30'000},
      {"ttl=1e3\n", 1'000'000},
      {"ttl=.5\n", 500},
      {"ttl=5.\n", 5'000},
      {"ttl=0.0001\n", 1},
      {"ttl=0\n", 0},
      {"ttl=0.0\n", 0},
      {"ttl=-0\n", 0},
      {"ttl=\n", 0},
      {"ttl=", 0},
      {"ttl=  \n", 0},
      {"ttl\n", 0},
      {"ttlx=5\n", 0},
      {"", 0},
      {"\n\n", 0},
      {"=\n==\nno line", 0},
      {"a=b\nttl=5\nttl=6\n", 5'000},
      {"ttl=1e400\n", largest},
      {"ttl=inf\n", largest},
      {"ttl=1e-400\n", 0},
      {"ttl=9223372036854775808\n", largest},
      {"ttl=99999999999999999999\n", largest}};
  for (const auto& [properties, expected] : read)
    EXPECT_EQ(ttl_ms(properties), expected) << properties;
}

TEST(Clone, TakesAnUpdateWithoutTheMetadataThatItCannotUse) {
  for (const char* ttl : {"ttl=x", "ttl=-1", "ttl=-1e400", "ttl=nan", "ttl=+-3", "ttl=, 3"}) {
    const ClientWrite result = accepted(Dialect::kvmsg, {"/a", sequence, uuid, ttl, "v"});
    EXPECT_EQ(result.ignored, "ttl_malformed") << ttl;
    EXPECT_EQ(result.write.ttl_ms, 0) << ttl;
    EXPECT_EQ(result.write.properties, ttl);
  }
  const std::string long_uuid(base::max_uuid_bytes + 1, 'u');
  const ClientWrite unnamed = accepted(Dialect::chp, {"/a", sequence, long_uuid, "ttl=5\n", "v"});
  EXPECT_EQ(unnamed.ignored, "uuid_too_long");
  EXPECT_EQ(unnamed.write.uuid, "");
  EXPECT_FALSE(unnamed.write.once);
  EXPECT_EQ(unnamed.write.ttl_ms, 5'000);
  const std::string long_properties = std::string(base::max_properties_bytes, 'p') + "=1\nttl=5\n";
  const ClientWrite bare = accepted(Dialect::chp, {"/a", sequence, uuid, long_properties, "v"});
  EXPECT_EQ(bare.ignored, "properties_too_long");
  EXPECT_EQ(bare.write.properties, "");
  EXPECT_EQ(bare.write.ttl_ms, 5'000);
  EXPECT_TRUE(bare.write.once);
  for (const std::string_view noise :
       {"\xff\xfe\0\x01"sv, "a\0b=c"sv, "===="sv, "no equals sign"sv}) {
    EXPECT_EQ(accepted(Dialect::kvmsg, {"/a", sequence, uuid, noise, "v"}).write.properties, noise);
  }
}

TEST(Clone, RefusesWhatIsMalformedAndSaysWhy) {
  EXPECT_EQ(reason(Dialect::kvsimple, {}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvsimple, {"/a", sequence}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvsimple, {"/a", sequence, uuid, "", "x"}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvmsg, {"/a", sequence, "x"}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvsimple, {"", sequence, "x"}), "key_empty");
  EXPECT_EQ(reason(Dialect::kvsimple, {"HUGZ", sequence, "x"}), "key_reserved");
  const std::string long_key(256, 'k');
  EXPECT_EQ(reason(Dialect::kvsimple, {long_key, sequence, "x"}), "key_too_long");
  const std::string long_value(base::max_value_bytes + 1, 'v');
  EXPECT_EQ(reason(Dialect::kvsimple, {"/a", sequence, long_value}), "value_too_long");
}

TEST(Clone, ReadsSnapshotRequests) {
  EXPECT_EQ(std::get<std::string_view>(parse_snapshot_request(Views{"ICANHAZ?"})), "");
  EXPECT_EQ(std::get<std::string_view>(parse_snapshot_request(Views{"ICANHAZ?", "/a/"})), "/a/");
  for (const Views& frames :
       {Views{}, Views{"ICANHAZ"}, Views{"ICANHAZ?", "/a/", "more"}, Views{"ICANHAZ?", "a\n"}}) {
    EXPECT_TRUE(std::holds_alternative<Rejection>(parse_snapshot_request(frames)));
  }
}

TEST(Clone, WritesTheFramesOfEachDialect) {
  const auto made =
      make_update({.key = "/a", .value = "body", .properties = "p=1\n", .uuid = uuid});
  const keyspace::Update& entry = *made;
  const auto simple = update(Dialect::kvsimple, entry, 0x0102);
  EXPECT_EQ(Views(simple.span().begin(), simple.span().end()), (Views{"/a", sequence, "body"}));
  const auto full = update(Dialect::kvmsg, entry, 0x0102);
  EXPECT_EQ(Views(full.span().begin(), full.span().end()),
            (Views{"/a", sequence, uuid, "p=1\n", "body"}));
  const auto end = end_of_snapshot(Dialect::chp, "/a/", 0x0102);
  EXPECT_EQ(Views(end.span().begin(), end.span().end()),
            (Views{"KTHXBAI", sequence, "", "", "/a/"}));
  const auto simple_end = end_of_snapshot(Dialect::kvsimple, "/a/", 0x0102);
  EXPECT_EQ(Views(simple_end.span().begin(), simple_end.span().end()),
            (Views{"KTHXBAI", sequence, ""}));
  EXPECT_EQ(heartbeat_message().span().size(), 5u);
  EXPECT_EQ(std::get<std::int64_t>(parse_sequence(sequence)), 0x0102);
}

// Cut every frame of a good message at every length, and feed noise: an answer, never a crash.
TEST(Clone, SurvivesCutsAndNoise) {
  const Views good{"/a/b", sequence, uuid, "ttl=5\n", "body"};
  for (std::size_t frame = 0; frame < good.size(); ++frame) {
    for (std::size_t length = 0; length <= good[frame].size(); ++length) {
      Views cut = good;
      cut[frame] = cut[frame].substr(0, length);
      parse_write(Dialect::kvmsg, cut);
    }
  }
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string> frames(random() % 8);
    for (auto& frame : frames) {
      frame.resize(random() % 300);
      for (char& byte : frame) byte = static_cast<char>(random());
    }
    const Views views(frames.begin(), frames.end());
    for (const Dialect dialect : dialects) parse_write(dialect, views);
    parse_snapshot_request(views);
  }
}

}  // namespace
}  // namespace canopy::wire::clone
