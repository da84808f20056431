#include "core/wire/clone.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/base/limits.h"

namespace canopy::wire::clone {
namespace {

using namespace std::string_view_literals;
using Views = std::vector<std::string_view>;

constexpr std::string_view sequence = "\0\0\0\0\0\0\1\2"sv;
constexpr std::string_view uuid = "0123456789abcdef"sv;

std::string_view reason(Dialect dialect, const Views& frames) {
  const auto result = parse_write(dialect, frames);
  return std::holds_alternative<Rejection>(result) ? std::get<Rejection>(result).reason : "";
}

TEST(Clone, ReadsAKvsimpleUpdate) {
  const auto result = parse_write(Dialect::kvsimple, Views{"/a", sequence, "body"});
  const auto& write = std::get<Write>(result);
  EXPECT_EQ(write.key, "/a");
  EXPECT_EQ(write.value, "body");
  EXPECT_FALSE(write.deletes);
}

TEST(Clone, ReadsAKvmsgUpdateWithItsTimeToLive) {
  const auto result =
      parse_write(Dialect::kvmsg, Views{"/a", sequence, uuid, "colour=red\nttl=30\n", "body"});
  const auto& write = std::get<Write>(result);
  EXPECT_EQ(write.ttl_ms, 30'000);
  EXPECT_EQ(write.uuid, uuid);
  EXPECT_EQ(write.properties, "colour=red\nttl=30\n");
}

TEST(Clone, AnEmptyBodyDeletes) {
  const auto result = parse_write(Dialect::chp, Views{"/a", sequence, "", "", ""});
  EXPECT_TRUE(std::get<Write>(result).deletes);
}

TEST(Clone, RefusesWhatIsMalformedAndSaysWhy) {
  EXPECT_EQ(reason(Dialect::kvsimple, {}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvsimple, {"/a", sequence}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvsimple, {"/a", sequence, uuid, "", "x"}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvmsg, {"/a", sequence, "x"}), "frame_count");
  EXPECT_EQ(reason(Dialect::kvsimple, {"", sequence, "x"}), "key_empty");
  EXPECT_EQ(reason(Dialect::kvsimple, {"HUGZ", sequence, "x"}), "key_reserved");
  EXPECT_EQ(reason(Dialect::kvsimple, {"/a", "1234567", "x"}), "sequence_length");
  const std::string long_key(256, 'k');
  EXPECT_EQ(reason(Dialect::kvsimple, {long_key, sequence, "x"}), "key_too_long");
  const std::string long_value(base::max_value_bytes + 1, 'v');
  EXPECT_EQ(reason(Dialect::kvsimple, {"/a", sequence, long_value}), "value_too_long");
  EXPECT_EQ(reason(Dialect::kvmsg, {"/a", sequence, "short", "", "x"}), "uuid_length");
  const std::string long_properties(base::max_properties_bytes + 1, 'p');
  EXPECT_EQ(reason(Dialect::kvmsg, {"/a", sequence, "", long_properties, "x"}),
            "properties_too_long");
  for (const char* ttl : {"ttl=", "ttl=x", "ttl=-1", "ttl=1.5", "ttl=99999999999999999999"}) {
    EXPECT_EQ(reason(Dialect::kvmsg, {"/a", sequence, "", ttl, "x"}), "ttl_malformed") << ttl;
  }
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
  const keyspace::Update entry{
      .key = "/a", .value = "body", .properties = "p=1\n", .uuid = std::string(uuid)};
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
