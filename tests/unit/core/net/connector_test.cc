// Connectors against listeners of our own, and against libzmq's sockets, over TCP and ipc.
#include "core/net/connector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <zmq.hpp>

#include "core/net/curve_server.h"
#include "tests/unit/core/net/run_until.h"
#include "tests/unit/core/zmtp/libzmq_peer.h"

namespace canopy::net {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using zmtp::Parts;

class Owner : public ConnectionEvents {
 public:
  void on_ready(Connection&) override { ++ready; }
  void on_message(Connection& connection, std::span<const std::string_view> parts) override {
    messages.emplace_back(parts.begin(), parts.end());
    user = connection.info().user;
    if (echoes) connection.send(parts);
  }
  void on_subscription(Connection& connection, std::string_view topic, bool begins) override {
    subscriptions.emplace_back(topic, begins);
    subscriber = &connection;
  }
  void on_closed(Connection&, std::string_view reason) override { closed.emplace_back(reason); }
  void on_unreachable() override { ++unreachable; }

  int unreachable = 0;
  bool echoes = false;
  int ready = 0;
  std::string user;
  std::vector<Parts> messages;
  std::vector<std::pair<std::string, bool>> subscriptions;
  Connection* subscriber = nullptr;
  std::vector<std::string> closed;
};

class ConnectorTest : public testing::Test {
 protected:
  std::unique_ptr<Listener> listen(zmtp::SocketType type, StreamAddress address = {"127.0.0.1"},
                                   const zmtp::CurveServer* curve = nullptr) {
    ListenerSettings settings{.address = std::move(address)};
    settings.connection.peer = {.type = type, .curve = curve};
    auto made = std::make_unique<Listener>(connections_, std::move(settings), served_);
    const auto status = made->open(5s);
    EXPECT_TRUE(status) << status.error();
    return made;
  }
  std::unique_ptr<Connector> make(zmtp::SocketType type, ConnectorSettings settings = {}) {
    settings.connection.peer.type = type;
    settings.reconnect = 5ms;
    return std::make_unique<Connector>(connections_, std::move(settings), owner_);
  }
  template <typename Met>
  bool run_until(Met met) {
    return net::run_until(loop_, met);
  }
  bool ready(const Connector& connector) {
    return run_until([&] { return connector.connection() != nullptr; });
  }
  static void send(const Connector& connector, std::string_view part) {
    connector.connection()->send(std::span(&part, 1));
  }

  base::SystemClock clock_;
  Loop loop_{clock_};
  Connections connections_{loop_};
  Owner owner_;   // of connectors
  Owner served_;  // of listeners
};

StreamAddress address_of(const Listener& listener) { return *parse_address(listener.endpoint()); }

TEST_F(ConnectorTest, IsAnsweredOverTcp) {
  for (const char* host : {"127.0.0.1", "[::1]", "localhost"}) {
    const auto listener = listen(zmtp::SocketType::router, {host});
    served_ = {};
    owner_ = {};
    served_.echoes = true;
    const auto connector = make(zmtp::SocketType::dealer);
    ASSERT_TRUE(connector->connect("tcp://" + std::string(host) + ":" +
                                   std::to_string(address_of(*listener).port)));
    EXPECT_EQ(connector->connection(), nullptr);
    ASSERT_TRUE(ready(*connector)) << host;
    const std::string large(3'000'000, 'x');
    send(*connector, large);
    send(*connector, "b");
    ASSERT_TRUE(run_until([&] { return owner_.messages.size() == 2; }));
    EXPECT_THAT(owner_.messages, ElementsAre(Parts{large}, Parts{"b"}));
    EXPECT_EQ(owner_.ready, 1);
  }
}

TEST_F(ConnectorTest, ADisconnectedOneStaysAwayUntilItIsToConnectAgain) {
  const auto listener = listen(zmtp::SocketType::router);
  const auto connector = make(zmtp::SocketType::dealer);
  ASSERT_TRUE(connector->connect(listener->endpoint()));
  ASSERT_TRUE(ready(*connector));
  connector->disconnect();
  EXPECT_EQ(connector->connection(), nullptr);
  ASSERT_TRUE(run_until([&] { return !owner_.closed.empty() && listener->size() == 0; }));
  EXPECT_THAT(owner_.closed, ElementsAre("left"));
  bool waited = false;
  loop_.after(50ms, [&] { waited = true; });
  ASSERT_TRUE(run_until([&] { return waited; }));
  EXPECT_EQ(owner_.ready, 1) << "it has not come back by itself";
  ASSERT_TRUE(connector->connect(listener->endpoint()));
  connector->disconnect();  // also from a try that is under way
  ASSERT_TRUE(connector->connect(listener->endpoint()));
  ASSERT_TRUE(ready(*connector));
  EXPECT_EQ(owner_.unreachable, 0);
}

TEST_F(ConnectorTest, TellsEachTimeThatNoPeerListens) {
  auto listener = listen(zmtp::SocketType::router);
  const std::string endpoint = listener->endpoint();
  listener.reset();
  const auto connector = make(zmtp::SocketType::dealer);
  ASSERT_TRUE(connector->connect(endpoint));
  EXPECT_EQ(owner_.unreachable, 0) << "not from within the call";
  ASSERT_TRUE(run_until([&] { return owner_.unreachable == 2; }));
  connector->disconnect();
  bool waited = false;
  loop_.after(50ms, [&] { waited = true; });
  ASSERT_TRUE(run_until([&] { return waited; }));
  EXPECT_EQ(owner_.unreachable, 2);
}

TEST_F(ConnectorTest, IsAnsweredOverIpc) {
  const std::string path = testing::TempDir() + "canopy-connector-test";
  for (const std::string& each : {path, std::string("@")}) {
    std::filesystem::remove(path);
    owner_ = {};
    const auto listener = listen(zmtp::SocketType::router, {.path = each});
    served_.echoes = true;
    const auto connector = make(zmtp::SocketType::dealer);
    ASSERT_TRUE(connector->connect(listener->endpoint()));
    ASSERT_TRUE(ready(*connector)) << listener->endpoint();
    EXPECT_EQ(connector->connection()->peer(), "local");
    send(*connector, "x");
    ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  }
  std::filesystem::remove(path);
}

TEST_F(ConnectorTest, RefusesWhatIsNoEndpoint) {
  const auto connector = make(zmtp::SocketType::dealer);
  EXPECT_FALSE(connector->connect("udp://127.0.0.1:1"));
  EXPECT_FALSE(connector->connect("tcp://127.0.0.1:port"));
}

// The listener is not there at first, and restarts; subscriptions are said again.
TEST_F(ConnectorTest, ConnectsAgain) {
  auto listener = listen(zmtp::SocketType::xpub);
  const StreamAddress address = address_of(*listener);
  const std::string endpoint = listener->endpoint();
  listener.reset();
  const auto connector = make(zmtp::SocketType::sub);
  connector->subscribe("/a/");
  connector->subscribe("/b/");
  connector->unsubscribe("/b/");
  ASSERT_TRUE(connector->connect(endpoint));
  int turns = 0;
  ASSERT_TRUE(run_until([&] { return ++turns == 30; }));
  for (int round = 0; round < 3; ++round) {
    served_ = {};
    listener = listen(zmtp::SocketType::xpub, address);
    ASSERT_TRUE(ready(*connector));
    connector->subscribe("/c/");
    connector->unsubscribe("/c/");
    ASSERT_TRUE(run_until([&] { return served_.subscriptions.size() == 3; }));
    EXPECT_EQ(served_.subscriptions[0], std::pair(std::string("/a/"), true));
    EXPECT_EQ(served_.subscriptions[2], std::pair(std::string("/c/"), false));
    listener.reset();
    ASSERT_TRUE(run_until([&] { return connector->connection() == nullptr; }));
  }
  EXPECT_THAT(owner_.closed, ElementsAre("peer", "peer", "peer"));
}

TEST_F(ConnectorTest, GoesToAnotherEndpoint) {
  const auto one = listen(zmtp::SocketType::router);
  const auto other = listen(zmtp::SocketType::router);
  const auto connector = make(zmtp::SocketType::dealer);
  ASSERT_TRUE(connector->connect(one->endpoint()));
  ASSERT_TRUE(ready(*connector));
  EXPECT_EQ(one->size(), 1u);
  ASSERT_TRUE(connector->connect(other->endpoint()));
  EXPECT_EQ(connector->connection(), nullptr);
  ASSERT_TRUE(run_until([&] { return one->size() == 0 && other->size() == 1; }));
  ASSERT_TRUE(ready(*connector));
  EXPECT_THAT(owner_.closed, ElementsAre("renewed"));
}

TEST_F(ConnectorTest, WhatIsNotReadWaitsAtThePeer) {
  const auto listener = listen(zmtp::SocketType::xpub);
  const auto connector = make(zmtp::SocketType::sub, {.receive_buffer_bytes = 4096});
  connector->subscribe("");
  ASSERT_TRUE(connector->connect(listener->endpoint()));
  connector->pause_reading();  // also of the connection to come
  ASSERT_TRUE(run_until([&] { return served_.subscriber != nullptr; }));
  const std::string value(1 << 20, 'x');
  const std::string_view part = value;
  for (int i = 0; i < 16; ++i) served_.subscriber->send(std::span(&part, 1));
  int turns = 0;
  ASSERT_TRUE(run_until([&] { return ++turns == 50; }));
  EXPECT_GT(served_.subscriber->queued_bytes(), std::size_t{8} << 20);
  EXPECT_THAT(owner_.messages, IsEmpty());
  connector->resume_reading();
  ASSERT_TRUE(run_until([&] { return owner_.messages.size() == 16; }));
}

TEST_F(ConnectorTest, SendsWhatIsQueuedBeforeItEnds) {
  const auto listener = listen(zmtp::SocketType::router);
  auto connector = make(zmtp::SocketType::dealer, {.linger = 5s});
  ASSERT_TRUE(connector->connect(listener->endpoint()));
  ASSERT_TRUE(ready(*connector));
  send(*connector, "goodbye");
  connector.reset();
  ASSERT_TRUE(run_until([&] { return !served_.messages.empty(); }));
}

TEST_F(ConnectorTest, APeerThatSaysNothingIsLeft) {
  const auto unresponsive = listen_at({"127.0.0.1"}, 16, {});
  ASSERT_TRUE(unresponsive);
  const auto connector = make(zmtp::SocketType::dealer, {.handshake = 10ms});
  ASSERT_TRUE(connector->connect(endpoint_of(*unresponsive)));
  ASSERT_TRUE(run_until([&] { return owner_.closed.size() == 2; }));
  EXPECT_THAT(owner_.closed, Each("handshake_timeout"));
  EXPECT_EQ(owner_.ready, 0);
}

// The kernel connects a socket to itself when the port that it draws is the one that is asked for.
TEST_F(ConnectorTest, ASocketThatMetItselfIsNotConnected) {
  Descriptor made(socket(AF_INET, SOCK_STREAM, 0));
  const auto free_port = numeric_addresses({"127.0.0.1", 0}).at(0);
  ASSERT_EQ(bind(made.get(), free_port.get(), free_port.size), 0);
  const auto own = numeric_addresses(*parse_address(endpoint_of(made))).at(0);
  ASSERT_EQ(connect(made.get(), own.get(), own.size), 0);
  EXPECT_FALSE(is_connected(made));
}

TEST_F(ConnectorTest, ANameThatIsNoneIsLookedUpAgain) {
  const auto connector = make(zmtp::SocketType::dealer);
  ASSERT_TRUE(connector->connect("tcp://no.such.host.invalid:1"));
  int turns = 0;
  ASSERT_TRUE(run_until([&] { return ++turns == 100; })) << "the resolver holds nobody up";
  EXPECT_EQ(connector->connection(), nullptr);
}

class SecuredConnectorTest : public ConnectorTest {
 protected:
  std::optional<zmtp::CurveClient> meeting(const access::KeyPair& server) const {
    return zmtp::CurveClient::of(server.public_key, own_);
  }
  const access::KeyPair keys_ = access::make_key_pair();
  const access::KeyPair own_ = access::make_key_pair();
  const zmtp::CurveServer curve_ =
      curve_server(keys_, loop_, [this](std::string_view key) -> std::optional<std::string> {
        if (key != own_.public_key) return std::nullopt;
        return "p1";
      });
};

TEST_F(SecuredConnectorTest, IsKnownByItsKey) {
  const auto listener = listen(zmtp::SocketType::router, {"127.0.0.1"}, &curve_);
  served_.echoes = true;
  const auto connector = make(zmtp::SocketType::dealer, {.curve = meeting(keys_)});
  ASSERT_TRUE(connector->connect(listener->endpoint()));
  ASSERT_TRUE(ready(*connector));
  send(*connector, "x");
  ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  EXPECT_EQ(served_.user, "p1");
}

TEST_F(SecuredConnectorTest, DoesNotMeetAnotherServer) {
  const auto listener = listen(zmtp::SocketType::router, {"127.0.0.1"}, &curve_);
  const auto connector = make(zmtp::SocketType::dealer, {.curve = meeting(own_)});
  ASSERT_TRUE(connector->connect(listener->endpoint()));
  ASSERT_TRUE(run_until([&] { return served_.closed.size() >= 2; })) << "it tries again";
  EXPECT_THAT(served_.closed, Each("wrong_server_key"));
  EXPECT_EQ(owner_.ready, 0);
}

// libzmq's ROUTER and XPUB take us for one of their own.
TEST_F(SecuredConnectorTest, MeetsLibzmq) {
  for (const bool secured : {false, true}) {
    owner_ = {};
    zmq::context_t context;
    const auto bound = [&](zmq::socket_type type) {
      zmq::socket_t made(context, type);
      made.set(zmq::sockopt::linger, 0);
      made.set(zmq::sockopt::rcvtimeo, 1);
      if (secured) {
        made.set(zmq::sockopt::curve_server, 1);
        made.set(zmq::sockopt::curve_secretkey, keys_.secret_key);
      }
      made.bind("tcp://127.0.0.1:*");
      return made;
    };
    const auto curve = secured ? meeting(keys_) : std::nullopt;
    auto router = bound(zmq::socket_type::router);
    ConnectorSettings settings{.curve = curve};
    settings.connection.peer.routing_id = "session";
    const auto dealer = make(zmtp::SocketType::dealer, std::move(settings));
    ASSERT_TRUE(dealer->connect(router.get(zmq::sockopt::last_endpoint)));
    ASSERT_TRUE(ready(*dealer));
    send(*dealer, "text");
    Parts heard;
    ASSERT_TRUE(run_until([&] { return !(heard = zmtp::receive(router)).empty(); }));
    EXPECT_EQ(heard, (Parts{"session", "text"}));
    for (const std::size_t size : {1, 200, 1'000'000}) {
      const std::string body(size, 'b');
      dealer->connection()->send("head", std::make_shared<const std::string>(body));
      ASSERT_TRUE(run_until([&] { return !(heard = zmtp::receive(router)).empty(); }));
      EXPECT_EQ(heard, (Parts{"session", "head" + body}));
    }
    zmtp::send(router, {"session", std::string(300, 'x')});

    auto xpub = bound(zmq::socket_type::xpub);
    const auto sub = make(zmtp::SocketType::sub, {.curve = curve});
    sub->subscribe("/a/");
    ASSERT_TRUE(sub->connect(xpub.get(zmq::sockopt::last_endpoint)));
    ASSERT_TRUE(run_until([&] { return !(heard = zmtp::receive(xpub)).empty(); }));
    EXPECT_EQ(heard, Parts{"\1/a/"});
    zmtp::send(xpub, {"/a/1", "value"});
    ASSERT_TRUE(run_until([&] { return owner_.messages.size() == 2; }));
    EXPECT_THAT(owner_.messages, Contains(Parts{std::string(300, 'x')}));
    EXPECT_THAT(owner_.messages, Contains(Parts{"/a/1", "value"}));
  }
}

}  // namespace
}  // namespace canopy::net
