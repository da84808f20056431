// Followers: diverging logs, snapshots, and messages that are repeated or lost.
#include <gmock/gmock.h>

#include "core/base/limits.h"
#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using keyspace::Revision;
using testing::ElementsAre;
using testing::IsEmpty;

class ReplicaFollowerTest : public testing::Test, protected Replicas {
 protected:
  wire::ToFollower next(const std::string& leader, const std::string& follower) {
    auto message = replica(leader).next_for(follower, now_);
    if (!message) throw std::runtime_error("nothing for " + follower);
    return *message;
  }
  void receive(const std::string& follower, const wire::ToFollower& message,
               const std::string& from = "s1") {
    call(follower, [&](Replica& at, auto& out) { at.on_message(from, message, now_, out); });
  }
  std::size_t follows(const std::string& shard) {
    return static_cast<std::size_t>(std::ranges::count_if(
        node(shard).messages,
        [](const auto& each) { return std::holds_alternative<wire::Follow>(each.body); }));
  }
  // s2 misses this many entries and leaves the set.
  void leave_behind(int entries) {
    isolate("s2");
    for (int i = 0; i < entries; ++i) write("s1", {"k" + std::to_string(100 + i)});
    pass(3s);
    ASSERT_EQ(in_sync(), std::vector{id("s1")});
  }
};

TEST_F(ReplicaFollowerTest, ATailThatThePresentLeaderDoesNotHaveIsTruncated) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  isolate("s1");
  write("s1", {"x"});
  write("s1", {"y", "z"});
  run();
  stop("s1");
  write("s2", {"b"});
  run();
  ASSERT_EQ(node("s1").disk.content.tail.size(), 3u);
  node("s1").linked = true;
  start("s1");
  EXPECT_EQ(count<Replica::Truncate>("s1"), 1u);
  EXPECT_THAT(keys("s1"), ElementsAre("a", "b"));
  EXPECT_EQ(replica("s1").log().history(), replica("s2").log().history());
  EXPECT_EQ(in_sync().size(), 2u);
  EXPECT_EQ(node("s1").replaced, 0u);
}

TEST_F(ReplicaFollowerTest, WhatTheLogReachesIsSentAgain) {
  place({"s1", "s2"});
  start_all();
  leave_behind(5);
  join("s2");
  EXPECT_EQ(keys("s2").size(), 5u);
  EXPECT_EQ(node("s2").replaced, 0u);
  EXPECT_EQ(in_sync().size(), 2u);
}

TEST_F(ReplicaFollowerTest, WhatTheLogDoesNotReachComesAsASnapshot) {
  place({"s1", "s2"});
  node("s1").settings.log.updates = 3;
  start_all();
  write("s1", {"gone"}, 4);
  run();
  leave_behind(20);
  join("s2");
  EXPECT_EQ(node("s2").replaced, 1u);
  EXPECT_EQ(keys("s2"), keys("s1"));
  EXPECT_TRUE(replica("s2").requests().look_up("client", 4, 0).revision);
  EXPECT_EQ(replica("s2").tombstones().floor(), replica("s2").committed());
  EXPECT_EQ(in_sync().size(), 2u);
  write("s1", {"z"});
  run();
  EXPECT_EQ(keys("s2").back(), "z");
  // The copy is whole after a restart as well.
  stop("s2");
  start("s2");
  EXPECT_EQ(keys("s2"), keys("s1"));
  EXPECT_EQ(node("s2").replaced, 1u);
}

TEST_F(ReplicaFollowerTest, ALargeSnapshotComesInPartsAndIsInstalledWhole) {
  place({"s1", "s2"});
  start("s1");
  for (int i = 0; i < 4; ++i) write("s1", {std::string(100'000, 'v') + std::to_string(i)}, 9);
  run();
  node("s1").settings.log.updates = 1;
  stop("s1");
  start("s1");
  node("s2").linked = false;
  start("s2");
  link("s1", "s2", true);
  for (const auto& message : std::exchange(node("s2").messages, {})) {
    call("s1", [&](Replica& at, auto& out) { at.on_message("s2", message.body, now_, out); });
  }
  std::vector<wire::Snapshot> parts;
  do {
    parts.push_back(std::get<wire::Snapshot>(next("s1", "s2")));
    EXPECT_LT(encode(wire::ToFollower(parts.back())).size(), base::max_chunk_bytes + 1000);
  } while (!parts.back().last);
  EXPECT_EQ(parts.size(), 2u);
  receive("s2", parts[0]);
  EXPECT_THAT(keys("s2"), IsEmpty());
  EXPECT_EQ(node("s2").replaced, 0u);
  receive("s2", parts[1]);
  EXPECT_EQ(keys("s2").size(), 4u);
  EXPECT_EQ(node("s2").replaced, 1u);
  EXPECT_EQ(count<Replica::Install>("s2"), 1u);
  const auto stored = [&] {
    return std::ranges::count_if(node("s2").messages, [](const auto& each) {
      return std::holds_alternative<wire::Stored>(each.body);
    });
  };
  EXPECT_EQ(stored(), 0);
  store("s2");
  EXPECT_EQ(stored(), 1);
}

TEST_F(ReplicaFollowerTest, ADuplicateIsDroppedAndAHoleAskedForAgain) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  const auto first = next("s1", "s2");
  write("s1", {"b"});
  const auto second = next("s1", "s2");
  receive("s2", first);
  receive("s2", first);
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 1));
  receive("s2", second);
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 2));
  write("s1", {"c"});
  next("s1", "s2");  // lost
  write("s1", {"d"});
  receive("s2", next("s1", "s2"));
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 2));
  EXPECT_EQ(follows("s2"), 1u);
  run();
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b", "c", "d"));
}

TEST_F(ReplicaFollowerTest, MessagesOfFormerEpochsAndSessionsAreRefused) {
  place({"s1", "s2", "s3"});
  start_all();
  write("s1", {"a"});
  const auto late = next("s1", "s3");
  stop("s1");
  ASSERT_TRUE(leads("s2"));
  receive("s3", late);
  receive("s3", late, "s2");
  EXPECT_EQ(replica("s3").log().last(), Revision(2, 0));
  wire::Append forged = std::get<wire::Append>(late);
  forged.session = UINT64_MAX;
  receive("s3", forged, "s2");
  EXPECT_EQ(replica("s3").log().last(), Revision(2, 0));
}

TEST_F(ReplicaFollowerTest, OnlyTheReplicaThatLeadsAcceptsFollowers) {
  place({"s1", "s2", "s3"});
  start_all();
  const auto ask = [&](const std::string& from, std::uint32_t epoch) {
    const wire::Follow follow{
        .partition = "/p/", .shard = from, .identity = "x", .epoch = epoch, .session = 5};
    call("s2", [&](Replica& at, auto& out) { at.on_message(from, follow, now_, out); });
    return replica("s2").next_for(from, now_);
  };
  const auto unled = ask("s3", 1);
  ASSERT_TRUE(unled);
  EXPECT_EQ(std::get<wire::Unled>(*unled).identity, id("s2").identity);
  EXPECT_EQ(std::get<wire::Unled>(*unled).session, 5u);
  EXPECT_TRUE(ask("stranger", 1)) << "told, and not served";
  EXPECT_FALSE(ask("s3", 2)) << "s2 may be about to lead";
}

TEST_F(ReplicaFollowerTest, AFollowThatBringsNothingIsSaidAgain) {
  place({"s1", "s2"});
  start("s1");
  node("s2").linked = false;  // messages are lost
  start("s2");
  link("s1", "s2", true);
  const std::size_t before = follows("s2");
  for (int i = 0; i < 25; ++i) {
    now_ += 100ms;
    call("s2", [&](Replica& at, auto& out) { at.tick(now_, out); });
  }
  EXPECT_EQ(follows("s2"), before + 2);
}

// The Follow of a restarted shard that follows already.
TEST_F(ReplicaFollowerTest, TheWayToFollowAFollowerChangesNothingForIt) {
  place({"s1", "s2"});
  start_all();
  call("s1", [&](Replica& at, auto& out) { at.on_link("s2", true, now_, out); });
  write("s1", {"a"});
  run();
  EXPECT_THAT(keys("s1"), ElementsAre("a")) << "at once";
}

TEST_F(ReplicaFollowerTest, ALeaderThatForgotASessionIsAskedAgain) {
  place({"s1", "s2"});
  start_all();
  call("s1", [&](Replica& at, auto& out) { at.on_follower_gone("s2", now_, out); });
  write("s1", {"a"});
  run();
  EXPECT_THAT(keys("s1"), IsEmpty());
  node("s1").settings.lag = 1h;
  pass(1900ms);
  pass(1s);
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
}

TEST_F(ReplicaFollowerTest, ALeaderSendsABoundedAmountAhead) {
  place({"s1", "s2"});
  start_all();
  node("s2").stores = false;
  const std::string value((1 << 20) - 2, 'v');
  for (int i = 0; i < 20; ++i) write("s1", {value + std::to_string(i)});
  run();
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 16));
  EXPECT_THAT(replica("s1").waiting(), IsEmpty());
  store("s2");
  run();
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 20));
}

TEST_F(ReplicaFollowerTest, WhatIsLeftOfARequestThatWasCutGoesWithItsLeader) {
  place({"s1", "s2"});
  start_all();
  const std::string big(200'000, 'v');
  write("s1", {big + "1", big + "2"});
  receive("s2", next("s1", "s2"));
  store("s2");
  node("s2").messages.clear();
  ASSERT_EQ(replica("s2").log().last(), Revision(1, 1));
  stop("s1");
  EXPECT_TRUE(leads("s2"));
  EXPECT_EQ(replica("s2").log().history().front().last, 0u);
  EXPECT_THAT(keys("s2"), IsEmpty());
  start("s1");
  EXPECT_THAT(keys("s1"), IsEmpty());
  EXPECT_EQ(replica("s1").log().history(), replica("s2").log().history());
}

TEST_F(ReplicaFollowerTest, ALeaderThatMakesNoSenseIsAskedAgainLater) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  write("s1", {"b"});
  const auto sound = std::get<wire::Append>(next("s1", "s2"));
  wire::Append other = sound;
  other.of_lineage = 7;  // of the epoch that both are in
  receive("s2", other);
  receive("s2", sound);
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 1)) << "the session has ended";
  pass(1100ms);
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b"));
}

TEST_F(ReplicaFollowerTest, EveryReplicaGoesOnFromItsDisk) {
  place({"s1", "s2", "s3"});
  start_all();
  for (int round = 0; round < 12; ++round) {
    const std::string shard = "s" + std::to_string(round % 3 + 1);
    for (const char* each : {"s1", "s2", "s3"}) {
      if (leads(each)) write(each, {"k" + std::to_string(10 + round)}, 1 + round);
    }
    if (round % 2 == 0) run();
    stop(shard);
    run();
    for (const char* each : {"s1", "s2", "s3"}) {
      if (each != shard && leads(each)) write(each, {"l" + std::to_string(10 + round)});
    }
    start(shard);
    pass(1s);
  }
  pass(15s);
  EXPECT_TRUE(leads("s1"));
  EXPECT_EQ(in_sync().size(), 3u);
  EXPECT_GT(keys("s1").size(), 12u);
  for (const char* each : {"s2", "s3"}) {
    EXPECT_EQ(keys(each), keys("s1"));
    EXPECT_EQ(replica(each).committed(), replica("s1").committed());
    EXPECT_EQ(replica(each).requests().results(), replica("s1").requests().results());
  }
}

}  // namespace
}  // namespace canopy::cluster
