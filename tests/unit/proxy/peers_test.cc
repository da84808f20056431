#include "proxy/peers.h"

#include <gtest/gtest.h>

#include <thread>

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;

class PeersTest : public testing::Test {
 protected:
  PeersTest() { EXPECT_TRUE(socket_.bind("tcp://127.0.0.1:*")); }

  std::unique_ptr<net::Socket> connect(const std::string& routing_id) {
    auto peer = std::make_unique<net::Socket>(context_, net::SocketType::dealer,
                                              net::SocketOptions{.routing_id = routing_id});
    EXPECT_TRUE(peer->connect(socket_.last_endpoint()));
    return peer;
  }
  void look() {
    monitor_.drain(clock_.now());
    peers_.forget(monitor_.take_ended());
  }
  // Who sent the next message; 0 when its connection has ended.
  PeerId next() {
    for (int i = 0; i < 1000 && !socket_.receive(message_); ++i) std::this_thread::sleep_for(5ms);
    const auto* peer = peers_.meet_requester(message_, monitor_, [this] { look(); });
    return peer == nullptr ? 0 : peer->id;
  }
  // Until there are so many connections.
  void wait_for(std::size_t count) {
    for (int i = 0; i < 1000 && monitor_.connections().size() != count; ++i) {
      std::this_thread::sleep_for(5ms);
      monitor_.drain(clock_.now());
    }
    EXPECT_EQ(monitor_.connections().size(), count);
  }

  base::SystemClock clock_;
  net::Context context_;
  net::Socket socket_{context_, net::SocketType::router, {.router_mandatory = true}};
  net::Monitor monitor_{context_, socket_, "peers"};
  Peers peers_{false, context_};
  net::Message message_;
};

TEST_F(PeersTest, AConnectionIsKnownUntilItEnds) {
  auto one = connect("");
  auto other = connect("");
  one->send({"1"});
  const PeerId first = next();
  other->send({"2"});
  const PeerId second = next();
  EXPECT_NE(first, second);
  one->send({"3"});
  EXPECT_EQ(next(), first);
  EXPECT_NE(peers_.find(first), nullptr);
  one.reset();
  other.reset();
  wait_for(0);
  look();
  EXPECT_EQ(peers_.find(first), nullptr);
  EXPECT_EQ(peers_.take_ended().size(), 2u);
}

TEST_F(PeersTest, TheNextConnectionWithARoutingIdIsAnother) {
  auto one = connect("chosen");
  one->send({"1"});
  const PeerId first = next();
  EXPECT_NE(first, 0u);
  one.reset();
  wait_for(0);
  peers_.on_read_empty(monitor_);
  auto next_one = connect("chosen");
  next_one->send({"2"});
  const PeerId second = next();
  EXPECT_NE(second, 0u);
  EXPECT_NE(second, first);
  EXPECT_EQ(peers_.find(first), nullptr);
}

// It had the same descriptor, but not the same routing id.
TEST_F(PeersTest, TheLastMessagesOfAConnectionAreNotOfTheNextOne) {
  auto one = connect("");
  one->send({"1"});
  EXPECT_NE(next(), 0u);
  const int fd = message_.source_fd();
  one->send({"2"});
  std::this_thread::sleep_for(100ms);
  one.reset();
  wait_for(0);
  look();
  auto next_one = connect("");
  wait_for(1);
  ASSERT_EQ(monitor_.connections().count(fd), 1u) << "the kernel gave another";
  EXPECT_EQ(next(), 0u);
  next_one->send({"3"});
  const PeerId second = next();
  EXPECT_NE(second, 0u);
  EXPECT_EQ(second, monitor_.connections().at(fd).number);
}

// The first of them was not even heard of before.
TEST_F(PeersTest, EachMessageInDoubtIsOfItsRoutingId) {
  auto one = connect("");
  one->send({"1"});
  wait_for(1);
  std::this_thread::sleep_for(100ms);
  one.reset();
  wait_for(0);
  auto next_one = connect("");
  next_one->send({"2"});
  wait_for(1);
  const PeerId first = next();
  const PeerId second = next();
  EXPECT_NE(first, 0u);
  EXPECT_NE(second, 0u);
  EXPECT_NE(first, second);
}

// It had the same descriptor and the same routing id.
TEST_F(PeersTest, TheLastMessagesUnderAChosenRoutingIdAreNotOfTheNextOne) {
  auto one = connect("chosen");
  one->send({"1"});
  EXPECT_NE(next(), 0u);
  const int fd = message_.source_fd();
  one->send({"2"});
  one->send({"3"});
  std::this_thread::sleep_for(100ms);
  one.reset();
  wait_for(0);
  auto next_one = connect("chosen");
  wait_for(1);
  ASSERT_EQ(monitor_.connections().count(fd), 1u) << "the kernel gave another";
  EXPECT_EQ(next(), 0u);
  EXPECT_EQ(next(), 0u);
  EXPECT_TRUE(monitor_.take_closed().empty());
}

// The first of them was not heard of before, so it cannot be told from the next one.
TEST_F(PeersTest, AChosenRoutingIdOfOneOfTwoIsNobodys) {
  auto one = connect("chosen");
  one->send({"1"});
  wait_for(1);
  std::this_thread::sleep_for(100ms);
  one.reset();
  wait_for(0);
  auto next_one = connect("chosen");
  wait_for(1);
  EXPECT_EQ(next(), 0u);
  EXPECT_EQ(monitor_.take_closed()["routing_id_in_doubt"], 1u);
}

TEST_F(PeersTest, AConnectionWhoseRoutingIdIsInUseIsClosedAndCounted) {
  auto one = connect("");
  one->send({"1"});
  ASSERT_NE(next(), 0u);
  auto silent = connect("");
  wait_for(2);
  EXPECT_EQ(peers_.cut_unheard(monitor_, clock_.now() + Peers::unheard), 0u)
      << "nobody chose a routing id";
  silent.reset();
  wait_for(1);
  peers_.on_read_empty(monitor_);
  auto chooser = connect("chosen");
  chooser->send({"1"});
  const PeerId first = next();
  ASSERT_NE(first, 0u);
  auto unheard = connect("chosen");
  unheard->send({"2"});
  wait_for(3);
  EXPECT_EQ(peers_.cut_unheard(monitor_, clock_.now()), 0u);
  EXPECT_EQ(peers_.cut_unheard(monitor_, clock_.now() + Peers::unheard), 1u);
  EXPECT_EQ(monitor_.take_closed()["routing_id_in_use"], 1u);
  EXPECT_NE(peers_.find(first), nullptr);
}

}  // namespace
}  // namespace canopy::proxy
