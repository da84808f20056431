#include "proxy/join_gate.h"

#include <gtest/gtest.h>

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
constexpr base::TimePoint start{1h};

class JoinGateTest : public testing::Test {
 protected:
  // Connections are accepted when they first do something, unless it is said otherwise.
  void subscribe(PeerId connection, base::Duration at, const std::string& topic = "",
                 const std::string& address = "a") {
    gate_.on_subscription(client(connection, at, address), topic, start + at);
  }
  void ask(PeerId connection, base::Duration at, const std::string& prefix = "",
           const std::string& address = "a") {
    gate_.on_request(client(connection, at, address), prefix, start + at);
  }
  std::vector<PeerId> released(base::Duration at, const JoinGate::Surroundings& around = {}) {
    std::vector<PeerId> peers;
    for (const auto& request : gate_.take_released(start + at, around))
      peers.push_back(request.peer);
    return peers;
  }

  JoinGate gate_;
  std::map<PeerId, base::TimePoint> accepted_;

 private:
  JoinGate::Client client(PeerId connection, base::Duration at, const std::string& address) {
    return {.connection = connection,
            .accepted = accepted_.try_emplace(connection, start + at).first->second,
            .address = address};
  }
};

using Peers = std::vector<PeerId>;

TEST_F(JoinGateTest, ARequestGoesSoonAfterItsSubscription) {
  ask(1, 0ms, "/a/");
  EXPECT_EQ(released(150ms), Peers{});
  subscribe(2, 200ms, "/a/");
  EXPECT_EQ(released(209ms), Peers{}) << "the settling time";
  EXPECT_EQ(released(210ms), Peers{1});
  EXPECT_TRUE(gate_.empty());
  subscribe(4, 1s, "/a/");
  ask(3, 1s, "/a/");
  EXPECT_EQ(released(1s + JoinGate::settle), Peers{3});
}

TEST_F(JoinGateTest, OnlyACoveringSubscriptionOfTheSameAddressCounts) {
  ask(1, 0ms, "/a/");
  subscribe(2, 0ms, "/a/", "elsewhere");
  subscribe(3, 0ms, "/b/");
  EXPECT_EQ(released(100ms), Peers{});
  subscribe(3, 100ms, "/");
  EXPECT_EQ(released(110ms), Peers{1});
}

TEST_F(JoinGateTest, AClientThatOnlyWantsASnapshotWaitsForGrace) {
  ask(1, 0ms);
  EXPECT_EQ(released(JoinGate::grace - 1ms), Peers{});
  EXPECT_EQ(released(JoinGate::grace), Peers{1});
}

TEST_F(JoinGateTest, StrangersDelayNobody) {
  // Another address: silent connections, and one that only asks.
  ask(10, 0ms, "", "b");
  subscribe(2, 5ms);
  ask(1, 5ms);
  EXPECT_EQ(released(15ms, {.silent = {"b", "c"}}), Peers{1});
  // The same address: not for long.
  ask(11, 20ms);
  subscribe(4, 25ms);
  ask(3, 25ms);
  EXPECT_EQ(released(25ms + JoinGate::crowd, {.silent = {"a"}}), Peers{3});
}

TEST_F(JoinGateTest, ConnectionsThatCameTogetherArePaired) {
  ask(1, 0ms);          // wants nothing but a snapshot
  subscribe(2, 400ms);  // is paired with it until its own client asks
  ask(3, 401ms);
  EXPECT_EQ(released(401ms + JoinGate::settle), Peers{}) << "another may still be joining";
  EXPECT_EQ(released(JoinGate::grace), Peers{1});
  EXPECT_EQ(released(JoinGate::grace + 1ms), Peers{3});
}

TEST_F(JoinGateTest, ASubscriptionOfLongAgoIsNotThatOfANewcomer) {
  subscribe(2, 0ms);
  ask(1, JoinGate::joining + 1ms);
  EXPECT_EQ(released(JoinGate::joining + 100ms), Peers{});
  EXPECT_EQ(released(JoinGate::joining + 1ms + JoinGate::grace), Peers{1});
}

// Both are covered once as many have subscribed as ask, whoever was paired with whom.
TEST_F(JoinGateTest, ClientsThatShareAnAddressWaitForEachOther) {
  subscribe(12, 0ms);  // the pair of 2
  ask(1, 1ms);
  ask(2, 2ms);
  EXPECT_EQ(released(100ms), Peers{}) << "one subscription, two requests";
  subscribe(11, 110ms);
  EXPECT_EQ(released(119ms), Peers{});
  EXPECT_EQ(released(120ms), (Peers{1, 2}));
}

TEST_F(JoinGateTest, AFreshConnectionOfTheAddressMayStillSubscribe) {
  subscribe(12, 0ms);  // the pair of a request that has not come yet
  ask(1, 1ms);
  EXPECT_EQ(released(50ms, {.silent = {"a"}}), Peers{});
  subscribe(11, 60ms);
  EXPECT_EQ(released(70ms), Peers{1});
}

TEST_F(JoinGateTest, ManyThatJoinAtOnceGoTogetherOnceTheyHaveSubscribed) {
  for (PeerId i = 1; i <= 50; ++i) ask(i, i * 1ms);
  for (PeerId i = 1; i <= 50; ++i) {
    EXPECT_EQ(released(60ms + i * 1ms), Peers{});
    subscribe(100 + i, 60ms + i * 1ms);
  }
  EXPECT_EQ(released(110ms + JoinGate::settle).size(), 50u);
}

TEST_F(JoinGateTest, SeveralRequestsOfAConnectionAreAllAnswered) {
  subscribe(2, 0ms, "/a/");
  subscribe(2, 0ms, "/b/");
  ask(1, 1ms, "/a/");
  ask(1, 1ms, "/b/");
  ask(1, 1ms, "/c/");
  const auto first = gate_.take_released(start + 1ms + JoinGate::crowd, {});
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].prefix, "/a/");
  EXPECT_EQ(first[1].prefix, "/b/");
  EXPECT_EQ(released(1ms + JoinGate::grace), Peers{1}) << "nothing covers /c/";
}

TEST_F(JoinGateTest, AClientThatAsksAgainIsKnown) {
  subscribe(2, 0ms);
  ask(1, 0ms);
  EXPECT_EQ(released(10ms), Peers{1});
  ask(1, 1h);
  EXPECT_EQ(released(1h + JoinGate::settle), Peers{1});
}

TEST_F(JoinGateTest, WhatAConnectionAskedForEndsWithIt) {
  ask(1, 0ms);
  ask(1, 0ms, "/a/");
  gate_.end(1);
  EXPECT_TRUE(gate_.empty());
  EXPECT_EQ(released(1h), Peers{});
}

TEST_F(JoinGateTest, ASubscriptionEndsWithItsConnection) {
  subscribe(2, 0ms);
  ask(1, 0ms);
  gate_.end(2);
  EXPECT_EQ(released(300ms), Peers{});
  subscribe(3, 300ms);
  EXPECT_EQ(released(310ms), Peers{1});
  gate_.end(1);
  ask(4, 320ms);
  EXPECT_EQ(released(700ms), Peers{}) << "the subscription of one that has its snapshot";
}

TEST_F(JoinGateTest, AClientThatAFullProxyHasHalfAcceptedWaitsLonger) {
  ask(1, 0ms);
  accepted_[2] = start - JoinGate::joining;
  ask(2, 0ms);  // connected long ago: its subscription would be here
  EXPECT_EQ(released(1s, {.full = true}), Peers{2});
  EXPECT_EQ(released(JoinGate::hold, {.full = true}), Peers{1});
}

}  // namespace
}  // namespace canopy::proxy
