#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/proxy/native_shown.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using testing::ElementsAre;

TEST_F(NativeFrontendTest, OpensOneListenerAndAnnouncesIt) {
  const auto openings = bench.frontend.openings();
  ASSERT_EQ(openings.size(), 1u);
  EXPECT_EQ(openings[0].type, zmtp::SocketType::router);
  EXPECT_EQ(openings[0].label, "client");
  wire::ProxyMember member;
  bench.frontend.announce(member, {"tcp://127.0.0.1:7000"});
  EXPECT_EQ(member.native, "tcp://127.0.0.1:7000");
}

TEST_F(NativeFrontendTest, WelcomesClientsAndAnswersPings) {
  FakeConnection& connection = bench.connect();
  announce_client(connection);
  bench.ask(connection, native::Ping{.request = 7});
  EXPECT_THAT(read(connection), ElementsAre("welcome p1", "pong 7"));
}

TEST_F(NativeFrontendTest, AWriteNeedsAnAnnouncedClientAndIsAnsweredOnItsConnection) {
  FakeConnection& connection = bench.connect();
  bench.ask(connection, write_of(1));
  EXPECT_THAT(read(connection), ElementsAre("refusal 1 bad_field of 129"));
  announce_client(connection);
  FakeConnection& other = bench.connect();
  bench.ask(connection, write_of(2));
  ASSERT_EQ(bench.backend.writes.size(), 1u);
  const wire::RoutedRequest routed = bench.backend.writes[0];
  EXPECT_EQ(routed.request.client, client_id);
  EXPECT_EQ(routed.request.number, 2u);
  read(connection);
  bench.frontend.answer(
      {.reply_to = routed.reply_to, .number = 2, .revision = keyspace::Revision(1, 5)});
  bench.frontend.answer({.reply_to = routed.reply_to,
                         .number = 3,
                         .fault = wire::Fault::revision_mismatch,
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
  announce_client(connection);
  read(connection);
  bench.ask(connection, write_of(1, "/secret/1"));
  bench.backend.write_fault = wire::Fault::busy;
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

// The stream has said nothing of the partition yet.
TEST_F(NativeFrontendTest, AClientThatDoesNotReadItsRepliesIsNotRead) {
  FakeConnection& connection = bench.connect();
  std::uint64_t pings = 0;
  while (connection.reading) bench.ask(connection, native::Ping{.request = ++pings});
  EXPECT_GT(connection.queued_bytes(), 2 * queue_bytes);
  EXPECT_EQ(read(connection).size(), pings) << "nothing is dropped";
  EXPECT_TRUE(connection.reading);
}

TEST_F(NativeFrontendTest, RefusesKeysThatNoPartitionHas) {
  NativeBench some{{"/a/"}, {.name = "p1"}};
  some.backend.mirrored.sync(0);
  some.frontend.begin_generation(1);
  FakeConnection& connection = some.connect();
  some.ask(connection, native::Watch{.request = 1, .subscription = {.subtree = "/b/"}});
  some.ask(connection, native::List{.request = 2, .subtree = "/b/"});
  some.ask(connection, native::Get{.request = 3, .key = "/b/1"});
  some.ask(connection, native::List{.request = 4, .subtree = "/"});
  some.turn_all();
  EXPECT_THAT(read(some, connection),
              ElementsAre("refusal 1 no_partition of 130", "refusal 2 no_partition of 133",
                          "refusal 3 no_partition of 132", "chunk 4 '/a/' full 0"));
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
  early.backend.time += CatchUps::mirror_timeout;
  early.turn_all();
  const auto refused = read(early, connection);
  EXPECT_EQ(refused.size(), NativeFrontend::max_requests);
  EXPECT_THAT(refused, testing::Contains("refusal 1 partition_unavailable of 132"));
  early.ask(connection, native::Get{.request = 1, .key = "k"});
  early.turn();
  EXPECT_TRUE(read(early, connection).empty()) << "there is room again";
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

TEST_F(NativeFrontendTest, DrainingRefusesNewRequests) {
  FakeConnection& connection = join({.request = 1, .subscription = {.subtree = "/a/"}});
  announce_client(connection);
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
  announce_client(connection);
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

TEST_F(NativeFrontendTest, ListsConnectionsInAsManyMessagesAsItTakes) {
  FakeConnection& connection = bench.connect();
  const auto listed = [&](std::uint64_t request) {
    std::vector<native::ClientList> lists;
    bench.ask(connection, native::Clients{.request = request});
    for (const std::string& frame : bench.drain(connection)) {
      native::FromProxy message;
      EXPECT_TRUE(native::decode_from_proxy(frame, message).ok());
      lists.push_back(std::get<native::ClientList>(message));
      EXPECT_EQ(lists.back().request, request);
    }
    return lists;
  };
  const auto none = listed(1);
  ASSERT_EQ(none.size(), 1u);
  EXPECT_FALSE(none[0].more);
  EXPECT_TRUE(none[0].clients.empty());
  const std::string name(100, 'n');
  while (bench.backend.listed.size() < 3 * base::max_chunk_bytes / name.size()) {
    bench.backend.listed.push_back({.connection = bench.backend.listed.size(), .name = name});
  }
  std::vector<native::ClientInfo> clients;
  const auto lists = listed(2);
  EXPECT_GE(lists.size(), 3u);
  for (const native::ClientList& list : lists) {
    clients.insert(clients.end(), list.clients.begin(), list.clients.end());
    EXPECT_EQ(list.more, &list != &lists.back());
  }
  EXPECT_EQ(clients, bench.backend.listed);
}

TEST_F(NativeFrontendTest, EndsTheConnectionThatIsNamed) {
  FakeConnection& connection = bench.connect();
  native::FromProxy message;
  bench.ask(connection, native::Kick{.request = 1, .connection = 7});
  const auto frames = bench.drain(connection);
  ASSERT_EQ(frames.size(), 1u);
  ASSERT_TRUE(native::decode_from_proxy(frames[0], message).ok());
  EXPECT_EQ(std::get<native::Kicked>(message).request, 1u);
  bench.ask(connection, native::Kick{.request = 2, .connection = 8});
  EXPECT_THAT(read(connection), ElementsAre("refusal 2 not_found of 136"));
  EXPECT_THAT(bench.backend.kicked, ElementsAre(7, 8));
}

TEST_F(NativeFrontendTest, OnlyAnAdminSeesAndEndsConnections) {
  bench.backend.administers = false;
  bench.backend.listed = {{.connection = 7}};
  FakeConnection& connection = bench.connect();
  bench.ask(connection, native::Clients{.request = 1});
  bench.ask(connection, native::Kick{.request = 2, .connection = 7});
  EXPECT_THAT(read(connection),
              ElementsAre("refusal 1 forbidden of 135", "refusal 2 forbidden of 136"));
  EXPECT_TRUE(bench.backend.kicked.empty());
}

}  // namespace
}  // namespace canopy::proxy
