#include "core/net/monitor.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace canopy::net {
namespace {

using namespace std::chrono_literals;

class MonitorTest : public testing::Test {
 protected:
  MonitorTest() {
    EXPECT_TRUE(listener_.bind("tcp://127.0.0.1:*"));
    // libzmq registers its listener on its own thread: wait until the door can be taken over.
    for (int i = 0; i < 20; ++i) turn(10ms);
  }

  void turn(std::chrono::milliseconds pause) {
    monitor_.drain(clock_.now());
    if (door_) monitor_.arm(*door_ ? 1 : 0, clock_.now());
    std::this_thread::sleep_for(pause);
  }
  void knock(int count) {
    for (int i = 0; i < count; ++i) {
      peers_.push_back(std::make_unique<Socket>(context_, SocketType::dealer, SocketOptions{}));
      EXPECT_TRUE(peers_.back()->connect(listener_.last_endpoint()));
    }
  }
  // Waits until there are `count` connections, then looks whether it stays so.
  bool settles_at(std::size_t count) {
    for (int i = 0; i < 500 && monitor_.connections().size() != count; ++i) turn(10ms);
    for (int i = 0; i < 10; ++i) turn(10ms);
    return monitor_.connections().size() == count;
  }

  base::SystemClock clock_;
  Context context_;
  Socket listener_{context_, SocketType::router, {}};
  Monitor monitor_{context_, listener_, "test"};
  std::vector<std::unique_ptr<Socket>> peers_;
  std::optional<bool> door_ = false;  // nothing: left alone
};

// What the door rests on: libzmq polls with epoll, and accepts one connection for each event.
TEST_F(MonitorTest, EachArmingLetsOneConnectionIn) {
  knock(5);
  EXPECT_TRUE(settles_at(0)) << monitor_.connections().size();
  door_.reset();
  monitor_.arm(1, clock_.now());
  EXPECT_TRUE(settles_at(1)) << monitor_.connections().size();
  monitor_.arm(1, clock_.now());
  EXPECT_TRUE(settles_at(2)) << monitor_.connections().size();
  door_ = true;
  EXPECT_TRUE(settles_at(5)) << monitor_.connections().size();
}

TEST_F(MonitorTest, ACrowdComesInBySeveral) {
  knock(3 * static_cast<int>(Tickets::count));
  EXPECT_TRUE(settles_at(0));
  door_.reset();
  monitor_.arm(Monitor::room_for_a_crowd, clock_.now());
  EXPECT_TRUE(settles_at(1)) << "the first alone: who knows whether more are waiting";
  monitor_.arm(Monitor::room_for_a_crowd - 1, clock_.now());
  EXPECT_TRUE(settles_at(2)) << "the room is not ample";
  monitor_.arm(Monitor::room_for_a_crowd, clock_.now());
  EXPECT_TRUE(settles_at(3 + Tickets::count)) << monitor_.connections().size();
  monitor_.arm(0, clock_.now());
  EXPECT_TRUE(settles_at(3 + Tickets::count)) << monitor_.connections().size();
}

TEST_F(MonitorTest, TicketsThatFindNobodyHoldNobodyUp) {
  knock(2);
  for (int i = 0; i < 2; ++i) {
    monitor_.arm(Monitor::room_for_a_crowd, clock_.now());
    door_.reset();
    EXPECT_TRUE(settles_at(static_cast<std::size_t>(i) + 1));
  }
  monitor_.arm(Monitor::room_for_a_crowd, clock_.now());  // eight, and nobody waits
  peers_.front()->send({"still", "here"});
  Message message;
  for (int i = 0; i < 500 && !listener_.receive(message); ++i) turn(10ms);
  EXPECT_EQ(message.size(), 3u);
}

TEST_F(MonitorTest, CountsWhoLeavesAndKeepsWhoIsIn) {
  door_ = true;
  knock(3);
  EXPECT_TRUE(settles_at(3));
  door_ = false;
  peers_.front()->send({"still", "here"});
  Message message;
  for (int i = 0; i < 500 && !listener_.receive(message); ++i) turn(10ms);
  EXPECT_EQ(message.size(), 3u);
  EXPECT_EQ(message.peer_address(), "127.0.0.1");
  peers_.pop_back();
  EXPECT_TRUE(settles_at(2));
}

TEST_F(MonitorTest, KnowsWhoSpoke) {
  door_ = true;
  knock(2);
  EXPECT_TRUE(settles_at(2));
  peers_.front()->send({"hello"});
  Message message;
  for (int i = 0; i < 500 && !listener_.receive(message); ++i) turn(10ms);
  monitor_.mark_spoken(message.source_fd());
  int spoke = 0;
  for (const auto& [fd, connection] : monitor_.connections()) spoke += connection.spoke ? 1 : 0;
  EXPECT_EQ(spoke, 1);
}

}  // namespace
}  // namespace canopy::net
