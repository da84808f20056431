// Which peers a listener keeps waiting, and which connections it closes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/unit/core/net/connections_fixture.h"

namespace canopy::net {
namespace {

using testing::ElementsAre;
using zmtp::receive;
using zmtp::send;

TEST_F(ConnectionsTest, AtItsLimitPeersWaitInTheKernelsQueue) {
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

TEST_F(ConnectionsTest, ListenersShareALimit) {
  AcceptLimit limit(3);
  ListenerSettings settings{.address = {.host = "127.0.0.1"}, .limit = &limit};
  settings.connection.peer.type = zmtp::SocketType::router;
  Listener one(connections_, settings, owner_);
  Listener other(connections_, settings, owner_);
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
  std::size_t peak = 0;
  loop_.on_turn_end([&] { peak = std::max(peak, one.size() + other.size()); });
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
  EXPECT_EQ(peak, 5u) << "never more";
}

TEST_F(ConnectionsTest, RunningOutOfDescriptorsEndsNothingAndSpinsNothing) {
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

TEST_F(ConnectionsTest, ClosesPeersThatDoNotFinishTheirHandshake) {
  listen(zmtp::SocketType::router, {.handshake = 30ms});
  auto good = connect(zmq::socket_type::dealer);
  ASSERT_TRUE(run_until([&] { return !owner_.ready.empty(); }));
  const Descriptor idle = dial();
  const Descriptor halfway = dial();
  ASSERT_GT(::send(halfway.get(), "\xff\0\0", 3, 0), 0);
  ASSERT_TRUE(run_until([&] { return owner_.closed.size() == 2; }));
  EXPECT_THAT(owner_.closed, ElementsAre("handshake_timeout", "handshake_timeout"));
  EXPECT_EQ(listener_->size(), 1u);
}

TEST_F(ConnectionsTest, ClosesForAReason) {
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

}  // namespace
}  // namespace canopy::net
