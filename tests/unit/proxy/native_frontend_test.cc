#include "proxy/native_frontend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/proxy/native_bench.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using testing::ElementsAre;
using wire::Fault;

constexpr std::size_t queue_bytes = 64 << 10;
const std::string client_id(native::client_id_bytes, 'c');

class NativeFrontendTest : public testing::Test {
 protected:
  NativeFrontendTest() {
    bench.backend.mirrored.sync(0);
    bench.backend.mirrored.sync(1);
    bench.frontend.begin_generation(3);
  }

  static std::string show(const native::Entry& entry) {
    return (entry.deleted ? "-" : "") + std::string(entry.key) +
           (entry.deleted ? "" : "=" + std::string(entry.value));
  }
  static std::string show_all(const std::vector<native::Entry>& entries) {
    std::string text;
    for (const auto& entry : entries) text += " " + show(entry);
    return text;
  }
  // What each frame says, in short.
  std::string show(const std::string& frame) {
    native::FromProxy message;
    const auto status = native::decode_from_proxy(frame, message);
    if (!status) return status.error();
    const auto n = [](std::uint64_t number) { return std::to_string(number); };
    if (const auto* it = std::get_if<native::Welcome>(&message)) return "welcome " + it->proxy;
    if (const auto* it = std::get_if<native::Pong>(&message)) return "pong " + n(it->request);
    if (const auto* it = std::get_if<native::Written>(&message)) {
      return "written " + n(it->number) + " " + n(it->revision.counter());
    }
    if (const auto* it = std::get_if<native::Got>(&message)) {
      return "entry " + n(it->request) + (it->entry ? " " + show(*it->entry) : "");
    }
    if (const auto* it = std::get_if<native::Gap>(&message)) {
      return "gap " + n(it->request) + " " + (it->missed ? n(*it->missed) : "?");
    }
    if (const auto* it = std::get_if<native::CaughtUp>(&message)) {
      stream = it->stream;
      return "caught_up " + n(it->request) + " " + n(it->position);
    }
    if (const auto* it = std::get_if<native::Chunk>(&message)) {
      return "chunk " + n(it->header.request) + " '" + it->header.partition + "'" +
             (it->header.mode == native::ChunkHeader::Mode::full ? " full " : " changes ") +
             n(it->header.revision.counter()) + show_all(it->entries);
    }
    if (const auto* it = std::get_if<native::Batch>(&message)) {
      return "batch " + n(it->header.after) + "+" + n(it->header.count) + show_all(it->entries);
    }
    if (const auto* it = std::get_if<native::Move>(&message)) return "move " + n(it->within_ms);
    const auto& refusal = std::get<native::Refusal>(message);
    return "refusal " + n(refusal.request) + " " + std::string(wire::name(refusal.fault)) + " of " +
           n(refusal.of);
  }
  std::vector<std::string> read(FakeConnection& connection) { return read(bench, connection); }
  std::vector<std::string> read(NativeBench& its, FakeConnection& connection) {
    std::vector<std::string> result;
    for (const std::string& frame : its.drain(connection)) result.push_back(show(frame));
    return result;
  }
  FakeConnection& join(native::Watch watch) {
    FakeConnection& connection = bench.connect();
    bench.ask(connection, watch);
    bench.turn_all();
    read(connection);
    return connection;
  }
  void say_hello(FakeConnection& connection) {
    bench.ask(
        connection,
        native::Hello{
            .request = 1, .client = client_id, .name = "dashboard", .software = "canopy 0.1"});
  }
  static wire::WriteRequest write_of(std::uint64_t number, std::string key = "/a/1") {
    wire::WriteRequest request{.number = number};
    request.writes.push_back({.key = std::move(key), .value = "x"});
    return request;
  }

  NativeBench bench{{"/a/", ""}, {.name = "p1", .client_queue_bytes = queue_bytes}};
  std::uint64_t stream = 0;
};

TEST_F(NativeFrontendTest, OpensOneListenerAndSaysWhereItIs) {
  const auto openings = bench.frontend.openings();
  ASSERT_EQ(openings.size(), 1u);
  EXPECT_EQ(openings[0].type, zmtp::SocketType::router);
  EXPECT_EQ(openings[0].label, "client");
  coordination::ProxyMember member;
  bench.frontend.announce(member, {"tcp://127.0.0.1:7000"});
  EXPECT_EQ(member.native, "tcp://127.0.0.1:7000");
}

TEST_F(NativeFrontendTest, GreetsAndAnswersPings) {
  FakeConnection& connection = bench.connect();
  say_hello(connection);
  bench.ask(connection, native::Ping{.request = 7});
  EXPECT_THAT(read(connection), ElementsAre("welcome p1", "pong 7"));
}

TEST_F(NativeFrontendTest, AWriteNeedsAHelloAndIsAnsweredOnItsConnectionAlone) {
  FakeConnection& connection = bench.connect();
  bench.ask(connection, write_of(1));
  EXPECT_THAT(read(connection), ElementsAre("refusal 1 bad_field of 129"));
  say_hello(connection);
  FakeConnection& other = bench.connect();
  bench.ask(connection, write_of(2));
  ASSERT_EQ(bench.backend.written.size(), 1u);
  const wire::RoutedRequest routed = bench.backend.written[0];
  EXPECT_EQ(routed.request.client, client_id);
  EXPECT_EQ(routed.request.number, 2u);
  read(connection);
  bench.frontend.answer(
      {.reply_to = routed.reply_to, .number = 2, .revision = keyspace::Revision(1, 5)});
  bench.frontend.answer({.reply_to = routed.reply_to,
                         .number = 3,
                         .fault = Fault::revision_mismatch,
                         .revision = keyspace::Revision(1, 4)});
  EXPECT_THAT(read(connection), ElementsAre("written 2 5", "refusal 3 revision_mismatch of 129"));
  EXPECT_TRUE(read(other).empty());
  bench.disconnect(connection);
  bench.frontend.answer({.reply_to = routed.reply_to, .number = 2});
  bench.frontend.answer({.reply_to = "", .number = 2});
  EXPECT_TRUE(read(bench.connect()).empty()) << "ids are not used again";
}

TEST_F(NativeFrontendTest, RefusesWhatIsForbiddenBusyOrMalformed) {
  FakeConnection& connection = bench.connect();
  say_hello(connection);
  read(connection);
  bench.ask(connection, write_of(1, "/secret/1"));
  bench.backend.write_fault = Fault::busy;
  bench.ask(connection, write_of(2));
  bench.ask(connection, native::Watch{.request = 3, .subscription = {.subtree = "/secret/"}});
  bench.ask(connection, native::List{.request = 4, .subtree = "/secret/"});
  bench.ask(connection, native::Get{.request = 5, .key = "/secret/1"});
  bench.say(connection, "nonsense");
  bench.opening.events->on_message(connection, std::array<std::string_view, 2>{"", "x"});
  EXPECT_THAT(
      read(connection),
      ElementsAre("refusal 1 forbidden of 129", "refusal 2 busy of 129",
                  "refusal 3 forbidden of 130", "refusal 4 forbidden of 133",
                  "refusal 5 forbidden of 132", testing::StartsWith("refusal 0 version_unknown"),
                  "refusal 0 malformed of 0"));
}

TEST_F(NativeFrontendTest, GetsAndLists) {
  bench.put("/a/1", "x");
  bench.put("/b", "y");
  FakeConnection& connection = bench.connect();
  bench.ask(connection, native::Get{.request = 1, .key = "/a/1"});
  bench.ask(connection, native::Get{.request = 2, .key = "/a/2"});
  bench.ask(connection, native::List{.request = 3, .subtree = ""});
  bench.turn_all();
  EXPECT_THAT(read(connection),
              testing::UnorderedElementsAre("entry 1 /a/1=x", "entry 2", "chunk 3 '' full 1 /b=y",
                                            "chunk 3 '/a/' full 1 /a/1=x"));
}

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

TEST_F(NativeFrontendTest, ANumberInUseIsRefusedUntilItIsFree) {
  FakeConnection& connection = join({.request = 9, .subscription = {.subtree = "/a/"}});
  bench.ask(connection, native::Watch{.request = 9, .subscription = {.subtree = ""}});
  bench.ask(connection, native::Get{.request = 9, .key = "/a/1"});
  bench.ask(connection, native::Get{.request = 10, .key = "/a/1"});
  bench.ask(connection, native::List{.request = 10, .subtree = "/a/"});
  EXPECT_THAT(read(connection),
              ElementsAre("refusal 9 bad_field of 130", "refusal 9 bad_field of 132",
                          "refusal 10 bad_field of 133"));
  bench.ask(connection, native::Unwatch{.request = 9});
  bench.ask(connection, native::Watch{.request = 9, .subscription = {.subtree = ""}});
  bench.turn_all();
  EXPECT_EQ(read(connection).back(), "caught_up 9 0");
}

TEST_F(NativeFrontendTest, WhatIsGatheredAtTheCutIsInIt) {
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
  EXPECT_EQ(view.dropped, 20 - sent);
  EXPECT_EQ(view.catch_ups, 1u);
  EXPECT_EQ(bench.frontend.describe(quick).dropped, 0u);
  bench.put("/a/1", "y");
  bench.turn();
  EXPECT_THAT(read(slow), ElementsAre("batch 20+1 /a/1=y"));
}

TEST_F(NativeFrontendTest, ANewHistoryIsToldAtOnceAndVoidsWhatIsKnown) {
  bench.put("/a/1", "x");
  bench.put("/b", "y");
  FakeConnection& connection = join({.request = 1, .subscription = {.subtree = ""}});
  const std::uint64_t before = stream;
  bench.renew(0);
  bench.put("/a/2", "z");
  bench.turn_all();
  EXPECT_THAT(read(connection),
              ElementsAre("gap 1 ?", "chunk 1 '' changes 1", "chunk 1 '/a/' full 0",
                          "chunk 1 '/a/' full 1 /a/2=z", "caught_up 1 1"));
  EXPECT_GT(stream, before);
  EXPECT_EQ(bench.frontend.missed(), 0u);
}

// The stream has said nothing of the partition yet.
TEST_F(NativeFrontendTest, ANewHistoryVoidsWhatACutHasTold) {
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

TEST_F(NativeFrontendTest, LiveWatchesHearHeartbeats) {
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

TEST_F(NativeFrontendTest, AClientThatDoesNotReadItsRepliesIsNotRead) {
  FakeConnection& connection = bench.connect();
  std::uint64_t pings = 0;
  while (connection.reading) bench.ask(connection, native::Ping{.request = ++pings});
  EXPECT_GT(connection.queued_bytes(), 2 * queue_bytes);
  EXPECT_EQ(read(connection).size(), pings) << "nothing is dropped";
  EXPECT_TRUE(connection.reading);
}

TEST_F(NativeFrontendTest, BoundsRequestsUnderWay) {
  NativeBench early{{""}, {.name = "p1"}};  // no generation yet: nothing is answered
  FakeConnection& connection = early.connect();
  for (std::uint64_t i = 1; i <= NativeFrontend::max_requests + 1; ++i) {
    early.ask(connection, native::Get{.request = i, .key = "k"});
  }
  early.turn();
  const std::string limit = std::to_string(NativeFrontend::max_requests + 1);
  EXPECT_THAT(read(early, connection),
              ElementsAre("refusal " + limit + " too_many_requests of 132"));
  early.backend.time += CatchUps::patience;
  early.turn_all();
  const auto refused = read(early, connection);
  EXPECT_EQ(refused.size(), NativeFrontend::max_requests);
  EXPECT_THAT(refused, testing::Contains("refusal 1 partition_unavailable of 132"));
  early.ask(connection, native::Get{.request = 1, .key = "k"});
  early.turn();
  EXPECT_TRUE(read(early, connection).empty()) << "there is room again";
}

TEST_F(NativeFrontendTest, AWatchOfWhatIsNotMirroredEnds) {
  NativeBench absent{{""}, {.name = "p1"}};
  absent.frontend.begin_generation(1);
  FakeConnection& connection = absent.connect();
  absent.ask(connection, native::Watch{.request = 1});
  absent.turn();
  absent.backend.time += CatchUps::patience;
  absent.turn();
  EXPECT_THAT(read(absent, connection), ElementsAre("refusal 1 partition_unavailable of 130"));
  EXPECT_TRUE(absent.frontend.describe(connection).subscriptions.empty());
}

TEST_F(NativeFrontendTest, EverythingEndsWithTheConnection) {
  FakeConnection& live = join({.request = 1, .subscription = {.subtree = "/a/"}});
  FakeConnection& joining = bench.connect();
  bench.ask(joining, native::Watch{.request = 1, .subscription = {.subtree = "/a/"}});
  bench.ask(joining, native::List{.request = 2, .subtree = "/a/"});
  EXPECT_FALSE(bench.backend.leases.expired(0, bench.backend.time, 0s));
  bench.disconnect(live);
  bench.disconnect(joining);
  EXPECT_TRUE(bench.backend.leases.expired(0, bench.backend.time, 0s));
  bench.put("/a/1", "x");
  bench.turn();
}

TEST_F(NativeFrontendTest, TellsClientsToMoveAndTakesNothingNew) {
  FakeConnection& connection = join({.request = 1, .subscription = {.subtree = "/a/"}});
  say_hello(connection);
  read(connection);
  bench.frontend.drain(2s);
  EXPECT_EQ(bench.frontend.leaving(), 1u);
  bench.ask(connection, write_of(1));
  bench.ask(connection, native::Watch{.request = 2});
  bench.ask(connection, native::Get{.request = 3, .key = "k"});
  bench.ask(connection, native::List{.request = 4});
  bench.put("/a/1", "x");
  bench.turn();
  EXPECT_THAT(
      read(connection),
      ElementsAre("move 2000", "refusal 1 draining of 129", "refusal 2 draining of 130",
                  "refusal 3 draining of 132", "refusal 4 draining of 133", "batch 0+1 /a/1=x"));
  bench.disconnect(connection);
  EXPECT_EQ(bench.frontend.leaving(), 0u);
}

TEST_F(NativeFrontendTest, DescribesAConnection) {
  FakeConnection& connection =
      join({.request = 1, .subscription = {.subtree = "", .latest_ms = 50}});
  EXPECT_EQ(bench.frontend.describe(connection).protocol, "native 2");
  say_hello(connection);
  wire::native::ClientInfo view = bench.frontend.describe(connection);
  EXPECT_EQ(view.name, "dashboard");
  EXPECT_EQ(view.protocol, "native 2, canopy 0.1");
  EXPECT_THAT(view.subscriptions, ElementsAre("* latest 50 ms"));
  connection.its_info().user = "alice";
  EXPECT_EQ(bench.frontend.describe(connection).name, "alice");
  for (std::uint64_t i = 2; i < 200; ++i) bench.ask(connection, native::Watch{.request = i});
  EXPECT_EQ(bench.frontend.describe(connection).subscriptions.size(),
            native::max_shown_subscriptions + 1);
}

}  // namespace
}  // namespace canopy::proxy
