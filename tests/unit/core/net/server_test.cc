// Listeners and connections against libzmq's sockets as they are, over TCP and ipc.
#include "core/net/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <filesystem>
#include <map>
#include <zmq.hpp>

#include "tests/unit/core/zmtp/libzmq_peer.h"

namespace canopy::net {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using zmtp::Parts;
using zmtp::receive;
using zmtp::send;

// Answers every message with itself; publishes to nobody by itself.
class Owner : public ConnectionEvents {
 public:
  void on_ready(Connection& connection) override { ready.push_back(connection.id()); }
  void on_message(Connection& connection, std::span<const std::string_view> parts) override {
    messages.emplace_back(parts.begin(), parts.end());
    if (echoes) connection.send(parts);
    if (closes) connection.close("asked");
  }
  void on_subscription(Connection& connection, std::string_view topic, bool begins) override {
    subscriptions[connection.id()].emplace_back(topic, begins);
  }
  void on_drained(Connection&) override { ++drained; }
  void on_closed(Connection& connection, std::string_view reason) override {
    closed.emplace_back(reason);
    was_ready.push_back(connection.ready());
  }

  bool echoes = true;
  bool closes = false;
  int drained = 0;
  std::vector<std::uint64_t> ready;
  std::vector<Parts> messages;
  std::map<std::uint64_t, std::vector<std::pair<std::string, bool>>> subscriptions;
  std::vector<std::string> closed;
  std::vector<bool> was_ready;
};

class ServerTest : public testing::Test {
 protected:
  // A listener at a free port of the loopback, unless `settings` says where.
  Listener& listen(zmtp::SocketType type, ListenerSettings settings = {}) {
    if (settings.address.host.empty() && !settings.address.ipc()) {
      settings.address.host = "127.0.0.1";
    }
    settings.connection.peer.type = type;
    listener_ = std::make_unique<Listener>(server_, std::move(settings), owner_);
    const auto status = listener_->open();
    EXPECT_TRUE(status) << status.error();
    return *listener_;
  }
  zmq::socket_t connect(zmq::socket_type type) {
    zmq::socket_t made(context_, type);
    made.set(zmq::sockopt::linger, 0);
    made.set(zmq::sockopt::rcvtimeo, 10'000);
    made.connect(listener_->endpoint());
    return made;
  }
  // A bare TCP connection; 0: with the kernel's usual receive buffer.
  Descriptor dial(int receive_buffer_bytes = 0) {
    Descriptor made(socket(AF_INET, SOCK_STREAM, 0));
    if (receive_buffer_bytes > 0) {
      setsockopt(made.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string& endpoint = listener_->endpoint();
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    EXPECT_EQ(::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return made;
  }
  // Turns the loop until `met`; false after ten seconds.
  template <typename Met>
  bool run_until(Met met) {
    bool in_time = true;
    const auto give_up = loop_.after(10s, [&] {
      in_time = false;
      loop_.stop();
    });
    const auto look = loop_.every(1ms, [&] {
      if (met()) loop_.stop();
    });
    loop_.run();
    loop_.cancel(give_up);
    loop_.cancel(look);
    return in_time;
  }
  Connection& only() {
    Connection* found = nullptr;
    listener_->for_each([&](Connection& connection) { found = &connection; });
    return *found;
  }

  base::SystemClock clock_;
  Loop loop_{clock_};
  Owner owner_;
  Server server_{loop_};
  std::unique_ptr<Listener> listener_;
  zmq::context_t context_;
};

TEST_F(ServerTest, AnswersOverTcp) {
  listen(zmtp::SocketType::router);
  auto dealer = connect(zmq::socket_type::dealer);
  const std::string large(3'000'000, 'x');
  send(dealer, {"a", "", large});
  send(dealer, {"b"});
  ASSERT_TRUE(
      run_until([&] { return owner_.messages.size() == 2 && server_.queued_bytes() == 0; }));
  EXPECT_EQ(receive(dealer), (Parts{"a", "", large}));
  EXPECT_EQ(receive(dealer), Parts{"b"});
  EXPECT_EQ(only().peer().substr(0, 10), "127.0.0.1:");
  dealer.close();
  ASSERT_TRUE(run_until([&] { return listener_->size() == 0; }));
  EXPECT_THAT(owner_.closed, ElementsAre("peer"));
}

TEST_F(ServerTest, AnswersOverIpcAndTakesAStalePathOnly) {
  const std::string path = testing::TempDir() + "canopy-server-test";
  std::filesystem::remove(path);
  listen(zmtp::SocketType::router, {.address = {.path = path}});
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {"over ipc"});
  ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  EXPECT_EQ(only().peer(), "local");

  ListenerSettings settings{.address = {.path = path}};
  Listener second(server_, settings, owner_);
  const auto refused = second.open();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().ends_with("Address already in use")) << refused.error();
  listener_.reset();  // leaves its file behind
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(second.open());
  std::filesystem::remove(path);
}

TEST_F(ServerTest, ListensAtIPv6AndNames) {
  for (const char* host : {"[::1]", "::1", "localhost", "*"}) {
    Listener listener(server_, {.address = {.host = host}}, owner_);
    const auto status = listener.open();
    ASSERT_TRUE(status) << host << ": " << status.error();
    EXPECT_TRUE(listener.endpoint().starts_with("tcp://")) << listener.endpoint();
  }
  Listener nowhere(server_, {.address = {.host = "no.such.host.invalid"}}, owner_);
  const auto status = nowhere.open();
  ASSERT_FALSE(status);
  EXPECT_TRUE(status.error().starts_with("cannot bind tcp://no.such.host.invalid:0: "))
      << status.error();
}

TEST_F(ServerTest, OneBufferServesAllSubscribers) {
  listen(zmtp::SocketType::xpub);
  std::vector<zmq::socket_t> subscribers;
  for (int i = 0; i < 5; ++i) {
    subscribers.push_back(connect(zmq::socket_type::sub));
    subscribers.back().set(zmq::sockopt::subscribe, "/a/");
  }
  ASSERT_TRUE(run_until([&] { return owner_.subscriptions.size() == 5; }));
  std::string message;
  const std::array<std::string_view, 2> parts{"/a/1", "value"};
  zmtp::append_message(message, parts);
  const Buffer buffer = std::make_shared<const std::string>(std::move(message));
  listener_->for_each([&](Connection& connection) { connection.send(buffer); });
  EXPECT_EQ(server_.queued_bytes(), 5 * buffer->size());
  ASSERT_TRUE(run_until([&] { return server_.queued_bytes() == 0; }));
  EXPECT_EQ(buffer.use_count(), 1);
  for (auto& subscriber : subscribers) EXPECT_EQ(receive(subscriber), (Parts{"/a/1", "value"}));
}

TEST_F(ServerTest, ASlowPeerIsNoticed) {
  listen(zmtp::SocketType::router);
  auto slow = connect(zmq::socket_type::dealer);
  send(slow, {"here"});
  ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  const std::string value(1 << 20, 'x');
  const std::string_view part = value;
  for (int i = 0; i < 4; ++i) only().send(std::span(&part, 1));
  // libzmq reads a thousand messages ahead; a bare peer that reads nothing is below.
  ASSERT_TRUE(run_until([&] { return owner_.drained == 1 && server_.queued_bytes() == 0; }));
  EXPECT_EQ(receive(slow), Parts{"here"});
  for (int i = 0; i < 4; ++i) ASSERT_EQ(receive(slow), Parts{value});
}

TEST_F(ServerTest, APeerThatReadsNothingHoldsUpNobody) {
  // Small buffers of the kernel, whose own may hold as much as is queued here.
  constexpr int kernel_bytes = 64 << 10;
  constexpr std::size_t queued = std::size_t{64} << 20;
  listen(zmtp::SocketType::router, {.send_buffer_bytes = kernel_bytes});
  const Descriptor deaf = dial(kernel_bytes);
  ASSERT_TRUE(run_until([&] { return listener_->size() == 1; }));
  only().send(std::make_shared<const std::string>(queued, 'x'));
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {"still served"});
  EXPECT_TRUE(run_until([&] { return owner_.messages.size() == 1; }));
  EXPECT_EQ(receive(dealer), Parts{"still served"});
  EXPECT_GT(server_.queued_bytes(), queued / 2);
}

TEST_F(ServerTest, PingsOfAPeerThatReadsNothingAreNotAnswered) {
  listen(zmtp::SocketType::xpub);
  const Descriptor peer = dial(4096);
  const std::string_view hello("\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL", 16);
  std::string said(hello);
  said.resize(64);
  said += std::string("\4\x19\5READY\x0bSocket-Type\0\0\0\3SUB", 27);
  ASSERT_EQ(write(peer.get(), said.data(), said.size()), static_cast<ssize_t>(said.size()));
  ASSERT_TRUE(run_until([&] { return owner_.ready.size() == 1; }));
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += std::string("\4\7\4PING\0\0", 9);
  std::size_t sent = 0;
  std::size_t most = 0;
  ASSERT_TRUE(run_until([&] {
    const std::string_view left = std::string_view(pings).substr(sent % pings.size());
    const ssize_t taken = ::send(peer.get(), left.data(), left.size(), MSG_DONTWAIT);
    if (taken > 0) sent += static_cast<std::size_t>(taken);
    most = std::max(most, server_.queued_bytes());
    return sent > (std::size_t{16} << 20);
  }));
  EXPECT_GT(most, 0u);
  EXPECT_LT(most, std::size_t{256} << 10);
}

TEST_F(ServerTest, AtItsLimitPeersWaitInTheKernelsQueue) {
  AcceptLimit limit(2);
  listen(zmtp::SocketType::router, {.limit = &limit});
  auto first = connect(zmq::socket_type::dealer);
  auto second = connect(zmq::socket_type::dealer);
  send(first, {"1"});
  send(second, {"2"});
  ASSERT_TRUE(run_until([&] { return owner_.messages.size() == 2; }));
  auto third = connect(zmq::socket_type::dealer);
  send(third, {"3"});
  int turns = 0;
  ASSERT_TRUE(run_until([&] { return ++turns == 50; }));
  EXPECT_EQ(listener_->size(), 2u);
  first.close();
  ASSERT_TRUE(run_until([&] { return owner_.messages.size() == 3; }));
  limit.set_limit(0);
  EXPECT_EQ(listener_->size(), 2u) << "open ones stay";
  listener_.reset();
  EXPECT_EQ(limit.open(), 0u);
}

TEST_F(ServerTest, ListenersShareALimit) {
  AcceptLimit limit(3);
  ListenerSettings settings{.address = {.host = "127.0.0.1"}, .limit = &limit};
  settings.connection.peer.type = zmtp::SocketType::router;
  Listener one(server_, settings, owner_);
  Listener other(server_, settings, owner_);
  ASSERT_TRUE(one.open());
  ASSERT_TRUE(other.open());
  std::vector<zmq::socket_t> peers;
  for (int i = 0; i < 4; ++i) {
    for (const Listener* listener : {&one, &other}) {
      peers.emplace_back(context_, zmq::socket_type::dealer);
      peers.back().set(zmq::sockopt::linger, 0);
      peers.back().connect(listener->endpoint());
      send(peers.back(), {"here"});
    }
  }
  std::size_t most = 0;
  loop_.on_turn_end([&] { most = std::max(most, one.size() + other.size()); });
  const auto settle = [&](std::size_t messages) {
    ASSERT_TRUE(run_until([&] { return owner_.messages.size() >= messages; }));
    int turns = 0;
    ASSERT_TRUE(run_until([&] { return ++turns == 50; }));
    EXPECT_EQ(owner_.messages.size(), messages);
  };
  settle(3);
  EXPECT_TRUE(limit.full());
  limit.set_limit(5);
  settle(5);
  peers.clear();
  ASSERT_TRUE(run_until([&] { return limit.open() == 0; }));
  EXPECT_EQ(most, 5u) << "never more";
}

TEST_F(ServerTest, RunningOutOfDescriptorsEndsNothingAndSpinsNothing) {
  listen(zmtp::SocketType::router);
  auto before = connect(zmq::socket_type::dealer);
  send(before, {"before"});
  ASSERT_TRUE(run_until([&] { return owner_.messages.size() == 1; }));
  auto late = connect(zmq::socket_type::dealer);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const Descriptor highest(dup(0));
  const rlimit none{.rlim_cur = static_cast<rlim_t>(highest.get()), .rlim_max = limit.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  send(before, {"meanwhile"});
  EXPECT_TRUE(run_until([&] { return owner_.messages.size() == 2; }));
  setrlimit(RLIMIT_NOFILE, &limit);
  send(late, {"late"});
  EXPECT_TRUE(run_until([&] { return owner_.messages.size() == 3; }));
}

TEST_F(ServerTest, ClosesPeersThatDoNotFinishTheirHandshake) {
  listen(zmtp::SocketType::router, {.handshake = 30ms});
  auto good = connect(zmq::socket_type::dealer);
  ASSERT_TRUE(run_until([&] { return !owner_.ready.empty(); }));
  const Descriptor silent = dial();
  const Descriptor halfway = dial();
  ASSERT_GT(::send(halfway.get(), "\xff\0\0", 3, 0), 0);
  ASSERT_TRUE(run_until([&] { return owner_.closed.size() == 2; }));
  EXPECT_THAT(owner_.closed, ElementsAre("handshake_timeout", "handshake_timeout"));
  EXPECT_EQ(listener_->size(), 1u);
}

TEST_F(ServerTest, ClosesForAReason) {
  listen(zmtp::SocketType::router, {.connection = {.peer = {.limits = {.frame_bytes = 100}}}});
  const Descriptor stranger = dial();
  ASSERT_GT(::send(stranger.get(), "GET / HTTP/1.1\r\n\r\n", 18, 0), 0);
  ASSERT_TRUE(run_until([&] { return owner_.closed.size() == 1; }));
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {std::string(101, 'x')});
  ASSERT_TRUE(run_until([&] { return owner_.closed.size() == 2; }));
  owner_.closes = true;
  auto other = connect(zmq::socket_type::dealer);
  send(other, {"answered, and then closed"});
  ASSERT_TRUE(run_until([&] { return owner_.closed.size() >= 3; }));
  EXPECT_EQ(owner_.closed[0], "not_zmtp");
  EXPECT_EQ(owner_.closed[1], "frame_too_large");
  EXPECT_EQ(owner_.closed[2], "asked");
  EXPECT_EQ(owner_.was_ready, (std::vector{false, true, true}));
  EXPECT_EQ(receive(other), Parts{"answered, and then closed"});
}

TEST_F(ServerTest, ReadsNothingFromAPausedConnection) {
  listen(zmtp::SocketType::router);
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {"1"});
  ASSERT_TRUE(run_until([&] { return owner_.messages.size() == 1; }));
  only().pause_reading();
  send(dealer, {"2"});
  int turns = 0;
  ASSERT_TRUE(run_until([&] { return ++turns == 50; }));
  EXPECT_EQ(owner_.messages.size(), 1u);
  only().resume_reading();
  EXPECT_TRUE(run_until([&] { return owner_.messages.size() == 2; }));
}

TEST_F(ServerTest, NoticesThatAPausedConnectionIsBroken) {
  listen(zmtp::SocketType::router);
  Descriptor peer = dial();
  ASSERT_TRUE(run_until([&] { return listener_->size() == 1; }));
  only().pause_reading();
  const linger at_once{.l_onoff = 1, .l_linger = 0};  // close() resets the connection
  setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  peer = Descriptor();
  ASSERT_TRUE(run_until([&] { return !owner_.closed.empty(); }));
  EXPECT_THAT(owner_.closed, ElementsAre("peer"));
}

TEST_F(ServerTest, ReadsABoundedAmountATurn) {
  listen(zmtp::SocketType::router, {.connection = {.read_bytes_per_turn = 1}});
  owner_.echoes = false;
  auto dealer = connect(zmq::socket_type::dealer);
  ASSERT_TRUE(run_until([&] { return !owner_.ready.empty(); }));
  std::size_t most = 0;
  std::size_t before = 0;
  loop_.on_turn_end([&] {
    most = std::max(most, owner_.messages.size() - std::exchange(before, owner_.messages.size()));
  });
  constexpr std::size_t count = 4000;
  for (std::size_t i = 0; i < count; ++i) send(dealer, {std::string(100, 'x')});
  ASSERT_TRUE(run_until([&] { return owner_.messages.size() == count; }));
  EXPECT_LT(most, count / 2) << "one read a turn, of 64 KiB";
}

TEST_F(ServerTest, SendsBeforeTheTurnEndsWhenAsked) {
  listen(zmtp::SocketType::router);
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {"1"});
  bool arrived = false;
  loop_.on_turn_end([&] {
    if (server_.queued_bytes() == 0 || owner_.messages.empty()) return;
    server_.send_queued();
    EXPECT_EQ(server_.queued_bytes(), 0u);
    arrived = receive(dealer) == Parts{"1"};
  });
  EXPECT_TRUE(run_until([&] { return arrived; }));
}

TEST_F(ServerTest, TakesThePeersAddressFromALoadBalancer) {
  listen(zmtp::SocketType::router, {.connection = {.proxy_protocol = true}});
  const Descriptor balanced = dial();
  const std::string header = "PROXY TCP4 192.0.2.7 192.0.2.2 4711 443\r\n";
  for (const char byte : header) ASSERT_EQ(::send(balanced.get(), &byte, 1, 0), 1);
  ASSERT_TRUE(
      run_until([&] { return listener_->size() == 1 && only().peer() == "192.0.2.7:4711"; }));
  const Descriptor direct = dial();
  ASSERT_GT(::send(direct.get(), "\xff\0\0\0\0\0\0\0\1\x7f", 10, 0), 0);
  ASSERT_TRUE(run_until([&] { return !owner_.closed.empty(); }));
  EXPECT_THAT(owner_.closed, ElementsAre("proxy_header"));
}

TEST_F(ServerTest, SubscribesToPublishersThatConnect) {
  listen(zmtp::SocketType::sub);
  auto publisher = connect(zmq::socket_type::xpub);
  ASSERT_TRUE(run_until([&] { return !owner_.ready.empty(); }));
  owner_.echoes = false;
  ASSERT_TRUE(run_until([&] { return server_.queued_bytes() == 0; }));
  EXPECT_EQ(receive(publisher), Parts{"\1"});
  send(publisher, {"key", "value"});
  ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  EXPECT_THAT(owner_.messages, ElementsAre(Parts{"key", "value"}));
}

}  // namespace
}  // namespace canopy::net
