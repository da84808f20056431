// Native clients at the local coordinator's endpoint, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/coordination/backup.h"
#include "core/coordination/local.h"
#include "core/coordination/local_server.h"
#include "tests/unit/core/zmtp/libzmq_peer.h"

namespace canopy::coordination {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Pair;

class LocalClientsTest : public testing::Test {
 protected:
  LocalClientsTest() {
    server.on_rejected([this](std::string_view reason) { rejected.emplace_back(reason); });
    EXPECT_TRUE(server.bind("tcp://127.0.0.1:*"));
    client = zmtp::make_dealer(context, server.endpoint());
  }

  bool until(const std::function<bool()>& done) {
    const auto give_up = loop.now() + 10s;
    bool is_done = false;
    const auto poll = loop.every(2ms, [&] {
      is_done = done();
      if (is_done || loop.now() >= give_up) loop.stop();
    });
    loop.run();
    loop.cancel(poll);
    return is_done;
  }
  native::FromBroker ask(const std::string& frame) {
    zmtp::send(client, {frame});
    zmtp::Parts answer;
    EXPECT_TRUE(until([&] { return !(answer = zmtp::receive(client)).empty(); }));
    if (answer.empty()) return native::Refusal{};
    auto decoded = native::decode_from_broker(answer[0]);
    EXPECT_TRUE(decoded) << decoded.error();
    return *decoded;
  }
  auto members(const std::string& prefix) {
    return std::get<native::Members>(ask(encode(native::Directory{1, prefix}))).members;
  }

  base::SystemClock clock;
  zmq::context_t context;
  net::Loop loop{clock};
  net::Connections listening{loop};
  LocalServer server{listening, 600ms};
  zmq::socket_t client;
  std::vector<std::string> rejected;
};

TEST_F(LocalClientsTest, AreToldWhoIsThereAndWhoShouldBe) {
  server.expect({{"proxies/p1", "down 1"}, {"proxies/p2", "down 2"}, {"shards/s", "down s"}});
  const auto proxy = make_local_coordinator(loop, server.endpoint(), "p1");
  proxy->announce("proxies/p1", "here");
  ASSERT_TRUE(until([this] { return server.directory().entries().size() == 1; }));
  EXPECT_THAT(members("proxies/"),
              ElementsAre(Pair("proxies/p1", "here"), Pair("proxies/p2", "down 2")));
  EXPECT_EQ(members("").size(), 3u);
  EXPECT_TRUE(members("nobody/").empty());
}

TEST_F(LocalClientsTest, MayAskForAProcessToBeDrained) {
  std::vector<std::string> asked;
  server.on_drain([&](const std::string& name) {
    asked.push_back(name);
    return name == "p1";
  });
  EXPECT_EQ(std::get<native::Drained>(ask(encode(native::Drain{4, "p1"}))).request, 4u);
  const auto refusal = std::get<native::Refusal>(ask(encode(native::Drain{5, "p9"})));
  EXPECT_EQ(refusal.request, 5u);
  EXPECT_EQ(refusal.fault, wire::Fault::not_found);
  EXPECT_THAT(asked, ElementsAre("p1", "p9"));
  EXPECT_THAT(rejected, ElementsAre("not_found"));
}

TEST_F(LocalClientsTest, MayHaveAPartitionPlaced) {
  server.on_place([this](const std::string& partition, const auto& shards, auto done) {
    if (partition != "/a/") return done("no such partition");
    const auto kept = server.keep("partitions//a/", "on " + shards.front());
    done(kept ? "" : kept.error());
  });
  const auto refusal = std::get<native::Refusal>(ask(encode(native::Place{4, "/b/", {"s1"}})));
  EXPECT_EQ(refusal.fault, wire::Fault::not_found);
  EXPECT_EQ(refusal.text, "no such partition");
  EXPECT_EQ(std::get<native::Placed>(ask(encode(native::Place{5, "/a/", {"s1"}}))).request, 5u);
  EXPECT_EQ(server.directory().entries().at("partitions//a/").value, "on s1");
}

TEST_F(LocalClientsTest, MayHaveAReplicaElected) {
  server.on_elect([](const std::string& partition, const std::string& shard) {
    return partition == "/a/" && shard == "s1" ? "" : "no such replica";
  });
  const auto shard = make_local_coordinator(loop, server.endpoint(), "s1");
  std::vector<std::string> events;
  bool listed = false;
  shard->watch(
      elections_prefix,
      [&](const Event& event) { events.push_back(event.key + " " + event.value.value_or("-")); },
      [&] { listed = true; });
  ASSERT_TRUE(until([&] { return listed; }));
  const auto refusal = std::get<native::Refusal>(ask(encode(native::Elect{4, "/b/", "s1"})));
  EXPECT_EQ(refusal.fault, wire::Fault::not_found);
  EXPECT_EQ(refusal.text, "no such replica");
  for (std::size_t times = 1; times <= 2; ++times) {
    EXPECT_EQ(std::get<native::Elected>(ask(encode(native::Elect{5, "/a/", "s1"}))).request, 5u);
    ASSERT_TRUE(until([&] { return events.size() == times; }));
  }
  EXPECT_THAT(events, ElementsAre("elections//a/ s1", "elections//a/ s1"));
  EXPECT_TRUE(server.directory().entries().empty());
}

TEST_F(LocalClientsTest, GetNumberedRefusalsForWhatIsNoRequest) {
  std::string frame = encode(native::Drain{4, "p1"});
  frame.front() = 9;
  EXPECT_EQ(std::get<native::Refusal>(ask(frame)).fault, wire::Fault::version_unknown);
  EXPECT_EQ(std::get<native::Refusal>(ask(encode(native::Ping{.request = 1}))).fault,
            wire::Fault::kind_unknown);
  EXPECT_THAT(rejected, ElementsAre("version_unknown", "kind_unknown"));
}

TEST_F(LocalClientsTest, TheAnswerToAReloadEndsWithItsConnection) {
  std::vector<std::function<void(LocalServer::Reload)>> asked;
  server.on_reload([&](auto done) { asked.push_back(std::move(done)); });
  const auto connect = [&] {
    return zmtp::make_dealer(context, server.endpoint(), {.routing_id = "chosen"});
  };
  auto first = connect();
  zmtp::send(first, {encode(native::Reload{1})});
  ASSERT_TRUE(until([&] { return asked.size() == 1; }));
  first = connect();  // the same routing id, another connection
  zmtp::send(first, {encode(native::Reload{2})});
  ASSERT_TRUE(until([&] { return asked.size() == 2; }));
  asked[0]({});
  asked[1]({});
  zmtp::Parts answer;
  ASSERT_TRUE(until([&] { return !(answer = zmtp::receive(first)).empty(); }));
  EXPECT_EQ(std::get<native::Reloaded>(*native::decode_from_broker(answer[0])).request, 2u);
}

// A server with CURVE, and clients with keys.
class LocalSecurityTest : public testing::Test {
 protected:
  LocalSecurityTest() {
    server.on_closing([this](const net::Closing& closing) {
      closed.push_back(closing.closed);
      refused.push_back(closing.refused);
    });
    server.on_reload([this](auto done) { reload = std::move(done); });
    EXPECT_TRUE(server.bind("tcp://127.0.0.1:*"));
  }
  zmq::socket_t connect(const access::KeyPair& own) {
    const access::ClientKeys keys{.server_key = cluster_keys.public_key, .own = own};
    return zmtp::make_dealer(context, server.endpoint(), {.keys = keys});
  }
  bool until(const std::function<bool()>& done) {
    const auto give_up = loop.now() + 10s;
    bool is_done = false;
    const auto poll = loop.every(2ms, [&] {
      is_done = done();
      if (is_done || loop.now() >= give_up) loop.stop();
    });
    loop.run();
    loop.cancel(poll);
    return is_done;
  }
  std::optional<native::FromBroker> receive(zmq::socket_t& socket) {
    const auto parts = zmtp::receive(socket);
    if (parts.empty()) return std::nullopt;
    return *native::decode_from_broker(parts[0]);
  }

  const access::KeyPair cluster_keys = access::make_key_pair();
  const access::KeyPair admin_keys = access::make_key_pair();
  const access::KeyPair plain_keys = access::make_key_pair();
  const access::Authority authority{
      cluster_keys.public_key,
      access::Permissions({{.name = "ops", .public_key = admin_keys.public_key, .admin = true},
                           {.name = "plain", .public_key = plain_keys.public_key}})};
  const LocalServer::Security security{cluster_keys, authority};
  base::SystemClock clock;
  zmq::context_t context;
  net::Loop loop{clock};
  net::Connections listening{loop};
  LocalServer server{listening, 600ms, LocalServer::usual_queue_bytes, &security};
  std::function<void(LocalServer::Reload)> reload;
  std::vector<std::string> closed;
  std::vector<std::string> refused;
};

TEST_F(LocalSecurityTest, AConnectionWhosePermissionsChangedIsClosedOnceItsReloadIsAnswered) {
  auto admin = connect(admin_keys);
  auto plain = connect(plain_keys);
  std::optional<native::FromBroker> answer;
  zmtp::send(plain, {encode(native::Directory{1, ""})});
  ASSERT_TRUE(until([&] { return (answer = receive(plain)).has_value(); }));
  zmtp::send(admin, {encode(native::Reload{7})});
  ASSERT_TRUE(until([&] { return reload != nullptr; }));
  server.close_clients(std::vector<std::string>{"ops", "plain"});
  ASSERT_TRUE(until([&] { return !closed.empty(); }));
  EXPECT_THAT(closed, ElementsAre("permissions")) << "the one that waits for nothing";
  reload({});
  ASSERT_TRUE(until([&] { return closed.size() == 2; }));
  ASSERT_TRUE(until([&] { return (answer = receive(admin)).has_value(); }));
  EXPECT_EQ(std::get<native::Reloaded>(*answer).request, 7u);
  EXPECT_EQ(closed[1], "permissions");
}

TEST_F(LocalSecurityTest, AClientCannotTakeTheSessionOfAProcess) {
  const auto process = make_local_coordinator(loop, server.endpoint(), "p1", &cluster_keys);
  ASSERT_TRUE(until([&] { return process->connected(); }));
  auto stranger = connect(access::make_key_pair());
  ASSERT_TRUE(until([&] { return !refused.empty(); }));
  EXPECT_EQ(refused.front(), "unknown_key");
  EXPECT_EQ(closed.front(), "handshake");
  auto plain = connect(plain_keys);
  zmtp::send(plain, {encode(Ping{}, 1)});
  zmtp::send(plain, {encode(native::Drain{3, "p1"})});
  std::optional<native::FromBroker> answer;
  ASSERT_TRUE(until([&] { return (answer = receive(plain)).has_value(); }));
  EXPECT_EQ(std::get<native::Refusal>(*answer).fault, wire::Fault::forbidden);
  EXPECT_TRUE(process->connected());
}

TEST_F(LocalSecurityTest, OnlyAnAdminMayHaveAShardBackedUp) {
  std::vector<std::string> asked;
  server.on_backup([&](const std::string& shard, const std::string& order) {
    asked.push_back(shard + " " + parse_backup(order)->name);
    return shard == "s1" ? "" : "no such shard";
  });
  std::optional<native::FromBroker> answer;
  auto plain = connect(plain_keys);
  zmtp::send(plain, {encode(native::Backup{3, "s1", "monday", "o"})});
  ASSERT_TRUE(until([&] { return (answer = receive(plain)).has_value(); }));
  EXPECT_EQ(std::get<native::Refusal>(*answer).fault, wire::Fault::forbidden);
  auto admin = connect(admin_keys);
  zmtp::send(admin, {encode(native::Backup{4, "s9", "monday", "o"})});
  ASSERT_TRUE(until([&] { return (answer = receive(admin)).has_value(); }));
  EXPECT_EQ(std::get<native::Refusal>(*answer).text, "no such shard");
  zmtp::send(admin, {encode(native::Backup{5, "s1", "monday", "o"})});
  ASSERT_TRUE(until([&] { return (answer = receive(admin)).has_value(); }));
  EXPECT_EQ(std::get<native::BackupOrdered>(*answer).request, 5u);
  EXPECT_THAT(asked, ElementsAre("s9 monday", "s1 monday"));
}

TEST_F(LocalSecurityTest, OnlyAnAdminMayPlaceAPartition) {
  std::vector<std::string> asked;
  server.on_place([&](const std::string&, const std::vector<std::string>& shards, auto done) {
    asked = shards;
    done("");
  });
  std::optional<native::FromBroker> answer;
  auto plain = connect(plain_keys);
  zmtp::send(plain, {encode(native::Place{3, "/a/", {"s1"}})});
  ASSERT_TRUE(until([&] { return (answer = receive(plain)).has_value(); }));
  EXPECT_EQ(std::get<native::Refusal>(*answer).fault, wire::Fault::forbidden);
  EXPECT_TRUE(asked.empty());
  auto admin = connect(admin_keys);
  zmtp::send(admin, {encode(native::Place{4, "/a/", {"s2", "s1"}})});
  ASSERT_TRUE(until([&] { return (answer = receive(admin)).has_value(); }));
  EXPECT_EQ(std::get<native::Placed>(*answer).request, 4u);
  EXPECT_THAT(asked, ElementsAre("s2", "s1"));
}

TEST_F(LocalSecurityTest, OnlyAnAdminMayHaveAReplicaElected) {
  int asked = 0;
  server.on_elect([&](const std::string&, const std::string&) {
    ++asked;
    return std::string();
  });
  std::optional<native::FromBroker> answer;
  auto plain = connect(plain_keys);
  zmtp::send(plain, {encode(native::Elect{3, "/a/", "s1"})});
  ASSERT_TRUE(until([&] { return (answer = receive(plain)).has_value(); }));
  EXPECT_EQ(std::get<native::Refusal>(*answer).fault, wire::Fault::forbidden);
  EXPECT_EQ(asked, 0);
  auto admin = connect(admin_keys);
  zmtp::send(admin, {encode(native::Elect{4, "/a/", "s1"})});
  ASSERT_TRUE(until([&] { return (answer = receive(admin)).has_value(); }));
  EXPECT_EQ(std::get<native::Elected>(*answer).request, 4u);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace canopy::coordination
