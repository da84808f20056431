// Connections against libzmq's sockets as they are, over TCP and ipc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/core/net/connections_fixture.h"

namespace canopy::net {
namespace {

using testing::ElementsAre;
using zmtp::receive;
using zmtp::send;

TEST_F(ConnectionsTest, AnswersOverTcp) {
  listen(zmtp::SocketType::router);
  auto dealer = connect(zmq::socket_type::dealer);
  const std::string large(200'000, 'x');
  send(dealer, {"a", "", large});
  send(dealer, {"b"});
  ASSERT_TRUE(
      run_until([&] { return owner_.messages.size() == 2 && connections_.queued_bytes() == 0; }));
  EXPECT_EQ(receive(dealer), (Parts{"a", "", large}));
  EXPECT_EQ(receive(dealer), Parts{"b"});
  EXPECT_EQ(only().peer().substr(0, 10), "127.0.0.1:");
  dealer.close();
  ASSERT_TRUE(run_until([&] { return listener_->size() == 0; }));
  EXPECT_THAT(owner_.closed, ElementsAre("peer"));
}

TEST_F(ConnectionsTest, AnswersOverIpcAndTakesAStalePathOnly) {
  const std::string path = testing::TempDir() + "canopy-connections-test";
  std::filesystem::remove(path);
  listen(zmtp::SocketType::router, {.address = {.path = path}});
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {"over ipc"});
  ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  EXPECT_EQ(only().peer(), "local");

  ListenerSettings settings{.address = {.path = path}};
  Listener second(connections_, settings, owner_);
  const auto refused = second.open();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().ends_with("Address already in use")) << refused.error();
  listener_.reset();  // leaves its file behind
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(second.open());
  std::filesystem::remove(path);
}

TEST_F(ConnectionsTest, ListensAtIPv6AndNames) {
  for (const char* host : {"[::1]", "::1", "localhost", "*"}) {
    Listener listener(connections_, {.address = {.host = host}}, owner_);
    const auto status = listener.open();
    ASSERT_TRUE(status) << host << ": " << status.error();
    EXPECT_TRUE(listener.endpoint().starts_with("tcp://")) << listener.endpoint();
  }
  Listener nowhere(connections_, {.address = {.host = "no.such.host.invalid"}}, owner_);
  const auto status = nowhere.open();
  ASSERT_FALSE(status);
  EXPECT_TRUE(status.error().starts_with("cannot bind tcp://no.such.host.invalid:0: "))
      << status.error();
}

TEST_F(ConnectionsTest, OneBufferServesAllSubscribers) {
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
  EXPECT_EQ(connections_.queued_bytes(), 5 * buffer->size());
  ASSERT_TRUE(run_until([&] { return connections_.queued_bytes() == 0; }));
  EXPECT_EQ(buffer.use_count(), 1);
  for (auto& subscriber : subscribers) EXPECT_EQ(receive(subscriber), (Parts{"/a/1", "value"}));
}

TEST_F(ConnectionsTest, ASlowPeerIsNoticed) {
  listen(zmtp::SocketType::router,
         {.connection = {.high_water_bytes = 100'000, .low_water_bytes = 50'000}});
  auto slow = connect(zmq::socket_type::dealer);
  send(slow, {"here"});
  ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  const std::string value(50'000, 'x');
  const std::string_view part = value;
  for (int i = 0; i < 4; ++i) only().send(std::span(&part, 1));
  // libzmq reads a thousand messages ahead; a bare peer that reads nothing is below.
  ASSERT_TRUE(run_until([&] { return owner_.drained == 1 && connections_.queued_bytes() == 0; }));
  EXPECT_EQ(receive(slow), Parts{"here"});
  for (int i = 0; i < 4; ++i) ASSERT_EQ(receive(slow), Parts{value});
}

TEST_F(ConnectionsTest, APeerThatReadsNothingHoldsUpNobody) {
  // Small buffers of the kernel, whose own may hold as much as is queued here.
  constexpr int kernel_bytes = 64 << 10;
  constexpr std::size_t queued = std::size_t{64} << 20;
  listen(zmtp::SocketType::router, {.send_buffer_bytes = kernel_bytes});
  const Descriptor stalled = dial(kernel_bytes);
  ASSERT_TRUE(run_until([&] { return listener_->size() == 1; }));
  only().send(std::make_shared<const std::string>(queued, 'x'));
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {"still served"});
  EXPECT_TRUE(run_until([&] { return owner_.messages.size() == 1; }));
  EXPECT_EQ(receive(dealer), Parts{"still served"});
  EXPECT_GT(connections_.queued_bytes(), queued / 2);
}

TEST_F(ConnectionsTest, PingsOfAPeerThatReadsNothingAreNotAnswered) {
  listen(zmtp::SocketType::xpub);
  const Descriptor peer = dial(4096);
  const std::string_view handshake("\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL", 16);
  std::string sent(handshake);
  sent.resize(64);
  sent += std::string("\4\x19\5READY\x0bSocket-Type\0\0\0\3SUB", 27);
  ASSERT_EQ(write(peer.get(), sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
  ASSERT_TRUE(run_until([&] { return owner_.ready.size() == 1; }));
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += std::string("\4\7\4PING\0\0", 9);
  std::size_t written = 0;
  std::size_t peak = 0;
  ASSERT_TRUE(run_until([&] {
    const std::string_view left = std::string_view(pings).substr(written % pings.size());
    const ssize_t taken = ::send(peer.get(), left.data(), left.size(), MSG_DONTWAIT);
    if (taken > 0) written += static_cast<std::size_t>(taken);
    peak = std::max(peak, connections_.queued_bytes());
    return written > (std::size_t{4} << 20);
  }));
  EXPECT_GT(peak, 0u);
  EXPECT_LT(peak, std::size_t{256} << 10);
}

TEST_F(ConnectionsTest, ReadsNothingFromAPausedConnection) {
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

TEST_F(ConnectionsTest, NoticesThatAPausedConnectionIsBroken) {
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

TEST_F(ConnectionsTest, ReadsABoundedAmountATurn) {
  listen(zmtp::SocketType::router, {.connection = {.read_bytes_per_turn = 1}});
  owner_.echoes = false;
  auto dealer = connect(zmq::socket_type::dealer);
  ASSERT_TRUE(run_until([&] { return !owner_.ready.empty(); }));
  std::size_t peak = 0;
  std::size_t before = 0;
  loop_.on_turn_end([&] {
    peak = std::max(peak, owner_.messages.size() - std::exchange(before, owner_.messages.size()));
  });
  constexpr std::size_t count = 4000;
  for (std::size_t i = 0; i < count; ++i) send(dealer, {std::string(100, 'x')});
  ASSERT_TRUE(run_until([&] { return owner_.messages.size() == count; }));
  EXPECT_LT(peak, count / 2) << "one read a turn, of 64 KiB";
}

TEST_F(ConnectionsTest, SendsBeforeTheTurnEndsWhenAsked) {
  listen(zmtp::SocketType::router);
  auto dealer = connect(zmq::socket_type::dealer);
  send(dealer, {"1"});
  bool arrived = false;
  loop_.on_turn_end([&] {
    if (connections_.queued_bytes() == 0 || owner_.messages.empty()) return;
    connections_.send_queued();
    EXPECT_EQ(connections_.queued_bytes(), 0u);
    arrived = receive(dealer) == Parts{"1"};
  });
  EXPECT_TRUE(run_until([&] { return arrived; }));
}

TEST_F(ConnectionsTest, TakesThePeersAddressFromALoadBalancer) {
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

TEST_F(ConnectionsTest, SubscribesToPublishersThatConnect) {
  listen(zmtp::SocketType::sub);
  auto publisher = connect(zmq::socket_type::xpub);
  ASSERT_TRUE(run_until([&] { return !owner_.ready.empty(); }));
  owner_.echoes = false;
  ASSERT_TRUE(run_until([&] { return connections_.queued_bytes() == 0; }));
  EXPECT_EQ(receive(publisher), Parts{"\1"});
  send(publisher, {"key", "value"});
  ASSERT_TRUE(run_until([&] { return !owner_.messages.empty(); }));
  EXPECT_THAT(owner_.messages, ElementsAre(Parts{"key", "value"}));
}

}  // namespace
}  // namespace canopy::net
