// Timed messages of streams: `latest` streams and heartbeats.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/proxy/streams_bench.h"

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST_F(StreamsTest, LatestLeavesBeforeItsTimeRatherThanHoldTooMuch) {
  const auto latest = watch({.latest_ms = 60'000});
  streams.flush_latest(start);
  const std::string value(1 << 20, 'x');
  std::size_t highest = 0;
  for (int number = 0; number < 200; ++number) {
    put("/a/" + std::to_string(number), value);
    highest = std::max(highest, streams.latest_bytes());
    streams.flush_latest(base::TimePoint{} + 1ms);
    sent.clear();
  }
  EXPECT_LT(highest, Streams::max_latest_bytes + 2 * value.size());
  EXPECT_EQ(streams.gathered_bytes(), 0u);
}

TEST_F(StreamsTest, LatestSendsTheLastOfEachKeyOncePerPeriod) {
  const auto latest = watch({.subtree = "/a/", .latest_ms = 100});
  put("/a/x", "0");
  streams.flush_latest(start);
  ASSERT_EQ(sent.size(), 1u);
  sent.clear();
  for (const char* value : {"1", "2", "3"}) put("/a/x", value);
  put("/a/y", "1");
  put("/a/x", "4");
  EXPECT_EQ(streams.gathered(), 0u) << "no reason to flush";
  EXPECT_TRUE(flush(start + 10ms).empty());
  ASSERT_EQ(streams.next_due(), start + 100ms);
  streams.flush_latest(start + 99ms);
  EXPECT_TRUE(sent.empty());
  streams.flush_latest(start + 100ms);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_THAT(sent[0].entries, ElementsAre("/a/x=4", "/a/y=1"));
  EXPECT_EQ(sent[0].header.revisions[0].revision, mirrored.mirror(0)->revision());
  EXPECT_EQ(streams.take_conflated(), 3u);
  EXPECT_EQ(streams.take_conflated(), 0u);
  EXPECT_FALSE(streams.next_due());
}

TEST_F(StreamsTest, IdleStreamsSendHeartbeats) {
  streams.heartbeat(start);
  const auto some = watch({.subtree = "/a/"});
  EXPECT_EQ(streams.next_heartbeat(), start + Streams::heartbeat_period);
  put("other", "1");  // not of this stream
  streams.heartbeat(start + Streams::heartbeat_period - 1ms);
  EXPECT_TRUE(sent.empty());
  EXPECT_FALSE(streams.heartbeat(start + Streams::heartbeat_period));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].header.count, 0u);
  EXPECT_EQ(sent[0].header.revisions.size(), 1u);
  sent.clear();

  put("/a/1", "x");
  flush(start + 2 * Streams::heartbeat_period - Streams::idle + 1ms);
  streams.heartbeat(start + 2 * Streams::heartbeat_period);
  EXPECT_TRUE(sent.empty()) << "it has just carried something";
  streams.heartbeat(start + 3 * Streams::heartbeat_period);
  EXPECT_EQ(sent.size(), 1u);
}

TEST_F(StreamsTest, AHeartbeatLeavesOutHeldBackAndGatheredUpdates) {
  streams.heartbeat(start);
  const auto latest = watch({.subtree = "/a/", .latest_ms = 10'000});
  const auto every = watch({.subtree = "/a/"});
  put("/a/x", "1");
  streams.heartbeat(start + Streams::heartbeat_period);
  EXPECT_TRUE(sent.empty());
}

TEST_F(StreamsTest, HeartbeatsOfManyStreamsAreSpreadOverTheSecond) {
  constexpr auto turn = 10ms;
  for (const std::size_t count : {std::size_t{1}, std::size_t{40}, std::size_t{5'000}}) {
    Streams many{mirrored, [](std::string_view) { return MirrorLease(); }};
    struct Heard final : Streams::Watcher {
      void on_batch(const Streams::Batch&) override { ++beats; }
      void on_restart(std::optional<std::size_t>) override {}
      std::size_t beats = 0, seen = 0;
      base::TimePoint last = start;
    };
    std::vector<Heard> watchers(count);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(many.subscribe({.subtree = "/a/" + std::to_string(i)}, watchers[i]));
    }
    many.heartbeat(start);
    std::size_t beats = 0, largest = 0;
    base::Duration longest{};
    for (base::TimePoint now = start; now < start + 6s; now += turn) {
      many.heartbeat(now);
      std::size_t at_once = 0;
      for (Heard& one : watchers) {
        if (std::exchange(one.seen, one.beats) != one.beats) {
          one.last = now;
          ++at_once;
        }
        longest = std::max(longest, now - one.last);
      }
      beats += at_once;
      largest = std::max(largest, at_once);
    }
    EXPECT_LE(longest, Streams::heartbeat_period + Streams::heartbeat_spread + 2 * turn) << count;
    EXPECT_GE(beats, 4 * count) << count;
    EXPECT_LE(beats, 6 * count) << count;
    EXPECT_LE(largest, std::max<std::size_t>(Streams::heartbeats_at_once, count / 10) + 1) << count;
  }
}

TEST_F(StreamsTest, AfterAPauseHeartbeatsDoNotComeAllAtOnce) {
  constexpr std::size_t count = 1000;
  std::vector<std::unique_ptr<Kept>> watches;
  for (std::size_t i = 0; i < count; ++i) {
    watches.push_back(watch({.subtree = "/a/" + std::to_string(i)}));
  }
  EXPECT_TRUE(streams.heartbeat(start + 1h)) << "more are due";
  EXPECT_LE(sent.size(), count / 10);
}

}  // namespace
}  // namespace canopy::proxy
