// Watches from their first cut to their last batch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/proxy/native_shown.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using testing::ElementsAre;

TEST_F(NativeFrontendTest, AWatchIsCaughtUpAndThenLive) {
  bench.put("/a/1", "x");
  FakeConnection& connection = bench.connect();
  bench.ask(connection, native::Watch{.request = 9, .subscription = {.subtree = "/a/"}});
  bench.turn_all();
  EXPECT_THAT(read(connection), ElementsAre("chunk 9 '/a/' full 1 /a/1=x", "caught_up 9 0"));
  EXPECT_EQ(stream, static_cast<std::uint64_t>(first_stamp(3)));
  bench.put("/a/2", "y");
  bench.turn();
  EXPECT_THAT(read(connection), ElementsAre("batch 0+1 /a/2=y"));
  bench.ask(connection, native::Unwatch{.request = 9});
  bench.ask(connection, native::Unwatch{.request = 9});
  bench.put("/a/2", "z");
  bench.turn();
  EXPECT_TRUE(read(connection).empty());
  EXPECT_TRUE(bench.backend.leases.expired(0, bench.backend.time, 0s));
}

TEST_F(NativeFrontendTest, AResumedWatchGetsWhatChanged) {
  bench.put("/a/1", "x");
  const auto known = bench.backend.mirrored.mirror(0)->revision();
  bench.put("/a/2", "y");
  FakeConnection& connection = bench.connect();
  bench.ask(connection, native::Watch{.request = 9,
                                      .subscription = {.subtree = "/a/"},
                                      .known = {{"/a/", known}, {"/unknown/", known}}});
  bench.turn_all();
  EXPECT_THAT(read(connection), ElementsAre("chunk 9 '/a/' changes 2 /a/2=y", "caught_up 9 0"));
}

TEST_F(NativeFrontendTest, ACutHoldsTheGatheredUpdates) {
  FakeConnection& first = join({.request = 1, .subscription = {.subtree = "/a/"}});
  bench.put("/a/1", "x");
  FakeConnection& second = bench.connect();
  bench.ask(second, native::Watch{.request = 2, .subscription = {.subtree = "/a/"}});
  bench.turn(false);
  bench.put("/a/2", "y");
  bench.turn();
  EXPECT_THAT(read(first), ElementsAre("batch 0+2 /a/1=x /a/2=y"));
  EXPECT_THAT(read(second), ElementsAre("chunk 2 '/a/' full 1 /a/1=x", "caught_up 2 1",
                                        "batch 0+2 /a/1=x /a/2=y"));
}

TEST_F(NativeFrontendTest, BatchesAreHeldWhileChunksAreSentAndMissNothing) {
  for (int i = 0; i < 8; ++i) {
    bench.put("/a/" + std::to_string(i), std::string(queue_bytes / 5, 'x'));
  }
  FakeConnection& connection = bench.connect();
  bench.ask(connection, native::Watch{.request = 1, .subscription = {.subtree = "/a/"}});
  bench.turn_all();
  bench.put("/a/new", "y");
  bench.turn();
  EXPECT_EQ(connection.queue().size(), 2u);
  std::vector<std::string> all;
  for (int i = 0; i < 10; ++i) {
    for (std::string& one : read(connection)) all.push_back(std::move(one));
    bench.turn_all();
  }
  ASSERT_EQ(all.size(), 10u);
  EXPECT_EQ(all[8], "caught_up 1 0");
  EXPECT_EQ(all[9], "batch 0+1 /a/new=y");
  EXPECT_EQ(bench.frontend.missed(), 0u);
}

TEST_F(NativeFrontendTest, ASlowClientIsToldWhatItMissedAndEndsWithTheLatest) {
  FakeConnection& slow = join({.request = 1, .subscription = {.subtree = "/a/"}});
  FakeConnection& quick = join({.request = 1, .subscription = {.subtree = "/a/"}});
  for (int i = 0; i < 20; ++i) {
    bench.put("/a/1", std::string(queue_bytes / 10, 'x') + std::to_string(i));
    bench.turn();
    EXPECT_EQ(read(quick).size(), 1u);
    EXPECT_LE(slow.queued_bytes(), queue_bytes + 100);
  }
  std::vector<std::string> all;
  for (int i = 0; i < 3; ++i) {
    for (std::string& one : read(slow)) all.push_back(std::move(one));
    bench.turn_all();
  }
  const std::size_t sent = all.size() - 4;
  EXPECT_THAT(all.at(sent), "gap 1 1");
  EXPECT_THAT(all.at(sent + 1), "gap 1 " + std::to_string(20 - sent - 1));
  EXPECT_TRUE(all.at(sent + 2).starts_with("chunk 1 '/a/' changes 20"));
  EXPECT_TRUE(all.at(sent + 2).ends_with("x19"));
  EXPECT_EQ(all.at(sent + 3), "caught_up 1 20");
  EXPECT_EQ(bench.frontend.missed(), 20 - sent);
  const wire::native::ClientInfo view = bench.frontend.describe(slow);
  EXPECT_EQ(view.missed, 20 - sent);
  EXPECT_EQ(view.catch_ups, 1u);
  EXPECT_EQ(bench.frontend.describe(quick).missed, 0u);
  bench.put("/a/1", "y");
  bench.turn();
  EXPECT_THAT(read(slow), ElementsAre("batch 20+1 /a/1=y"));
}

TEST_F(NativeFrontendTest, ANewHistoryIsSentAtOnceAndVoidsKnownRevisions) {
  bench.put("/a/1", "x");
  bench.put("/b", "y");
  FakeConnection& connection = join({.request = 1, .subscription = {.subtree = ""}});
  const std::uint64_t before = stream;
  bench.renew(0);
  bench.put("/a/2", "z");
  bench.turn_all();
  EXPECT_THAT(read(connection),
              ElementsAre("gap 1 ?", "chunk 1 '/a/' full 0", "chunk 1 '/a/' full 1 /a/2=z",
                          "chunk 1 '' changes 1", "caught_up 1 1"));
  EXPECT_GT(stream, before);
  EXPECT_EQ(bench.frontend.missed(), 0u);
}

TEST_F(NativeFrontendTest, ANewHistoryVoidsACutThatWasSent) {
  FakeConnection& connection = bench.connect();
  bench.ask(connection, native::Watch{.request = 1, .subscription = {.subtree = "/a/"}});
  bench.put("/a/1", "x");
  bench.turn(false);
  EXPECT_THAT(read(connection), ElementsAre("chunk 1 '/a/' full 1 /a/1=x", "caught_up 1 1"));
  bench.renew(0);
  bench.turn_all();
  EXPECT_THAT(read(connection), ElementsAre("gap 1 ?", "chunk 1 '/a/' full 0",
                                            "chunk 1 '/a/' full 0", "caught_up 1 0"));
}

TEST_F(NativeFrontendTest, ALaterGenerationBeginsStreamsAnew) {
  FakeConnection& connection = join({.request = 1, .subscription = {.subtree = "/a/"}});
  bench.put("/a/1", "x");
  bench.frontend.begin_generation(4);
  bench.turn_all();
  EXPECT_THAT(read(connection), ElementsAre("batch 0+1 /a/1=x", "gap 1 ?",
                                            "chunk 1 '/a/' changes 1", "caught_up 1 0"));
  EXPECT_EQ(stream, static_cast<std::uint64_t>(first_stamp(4)));
}

TEST_F(NativeFrontendTest, TwoWatchesOfAStreamGetABatchOnce) {
  FakeConnection& connection = join({.request = 1, .subscription = {.subtree = "/a/"}});
  bench.ask(connection, native::Watch{.request = 2, .subscription = {.subtree = "/a/"}});
  bench.turn_all();
  read(connection);
  bench.put("/a/1", "x");
  bench.turn();
  EXPECT_THAT(read(connection), ElementsAre("batch 0+1 /a/1=x"));
  bench.ask(connection, native::Unwatch{.request = 1});
  bench.put("/a/1", "y");
  bench.turn();
  EXPECT_THAT(read(connection), ElementsAre("batch 1+1 /a/1=y"));
}

TEST_F(NativeFrontendTest, LiveWatchesReceiveHeartbeats) {
  FakeConnection& connection = join({.request = 1, .subscription = {.subtree = "/a/"}});
  for (int i = 0; i < 40; ++i) {
    const auto wake = bench.turn();
    ASSERT_TRUE(wake);
    bench.backend.time += std::max<base::Duration>(*wake, 1ms);
  }
  const auto beats = read(connection);
  EXPECT_GE(beats.size(), 2u);
  for (const std::string& beat : beats) EXPECT_EQ(beat, "batch 0+0");
}

TEST_F(NativeFrontendTest, AWatchWithoutAMirrorEnds) {
  NativeBench absent{{""}, {.name = "p1"}};
  absent.frontend.begin_generation(1);
  FakeConnection& connection = absent.connect();
  absent.ask(connection, native::Watch{.request = 1});
  absent.turn();
  absent.backend.time += CatchUps::mirror_timeout;
  absent.turn();
  EXPECT_THAT(read(absent, connection), ElementsAre("refusal 1 partition_unavailable of 130"));
  EXPECT_TRUE(absent.frontend.describe(connection).subscriptions.empty());
}

}  // namespace
}  // namespace canopy::proxy
