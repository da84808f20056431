// A partition that an operator places on other shards.
#include <gmock/gmock.h>

#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ReplicaPlacementTest : public Replicas, public ::testing::Test {
 protected:
  // Shards that the configuration does not place a replica on.
  void add(const std::vector<std::string>& shards) {
    const Replica::Settings settings = nodes_.begin()->second.settings;
    for (const std::string& shard : shards) {
      nodes_[shard].settings = settings;
      nodes_[shard].settings.self = {shard, shard + "-1"};
    }
  }
  void move(const std::vector<std::string>& shards) {
    PartitionRecord record = *record_;
    record.placement = shards;
    set_record(record);
    run();
  }
  std::vector<std::string> shards_in_sync() const {
    std::vector<std::string> shards;
    for (const ReplicaId& member : in_sync()) shards.push_back(member.shard);
    return shards;
  }
};

TEST_F(ReplicaPlacementTest, APartitionMovesToAnotherShard) {
  place({"s1"});
  start("s1");
  write("s1", {"a"});
  add({"s2"});
  start("s2");
  pass(1s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s1"));
  EXPECT_THAT(keys("s2"), IsEmpty()) << "it is not placed there";
  EXPECT_TRUE(replica("s2").dispensable());

  move({"s2"});
  EXPECT_FALSE(replica("s2").dispensable());
  pass(2s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s1", "s2"));
  EXPECT_TRUE(leads("s1"));
  EXPECT_FALSE(replica("s1").dispensable());
  write("s1", {"b"});
  pass(15s);
  EXPECT_TRUE(leads("s2"));
  EXPECT_THAT(shards_in_sync(), ElementsAre("s2"));
  EXPECT_THAT(record_->placement, ElementsAre("s2"));
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b"));
  EXPECT_TRUE(replica("s1").dispensable());
  EXPECT_FALSE(replica("s2").dispensable());

  stop("s1");
  write("s2", {"c"});
  run();
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b", "c"));
}

TEST_F(ReplicaPlacementTest, NobodyLeavesBeforeAllThatArePlacedAreInSync) {
  place({"s1", "s2"});
  start_all();
  add({"s3", "s4"});
  start("s3");
  write("s1", {"a"});
  move({"s3", "s4"});
  pass(30s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s1", "s2", "s3"));
  EXPECT_TRUE(leads("s3"));
  stop("s2");
  start("s2");
  pass(3s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s1", "s2", "s3")) << "it comes back meanwhile";
  EXPECT_FALSE(replica("s2").dispensable());

  start("s4");
  pass(3s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s3", "s4"));
  for (const char* old : {"s1", "s2"}) {
    EXPECT_TRUE(replica(old).dispensable());
    stop(old);
    start(old);
  }
  pass(3s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s3", "s4")) << "they are followers no more";
  EXPECT_TRUE(replica("s3").waiting().empty());
  EXPECT_THAT(keys("s4"), ElementsAre("a"));
}

TEST_F(ReplicaPlacementTest, AMoveSurvivesTheOldLeader) {
  place({"s1"});
  start("s1");
  add({"s2", "s3"});
  start("s2");
  write("s1", {"a"});
  move({"s2", "s3"});
  pass(1s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s1", "s2"));
  stop("s1");
  pass(1s);
  ASSERT_TRUE(leads("s2"));
  EXPECT_THAT(record_->placement, ElementsAre("s2", "s3"));
  start("s3");
  start("s1");
  pass(3s);
  EXPECT_THAT(shards_in_sync(), ElementsAre("s2", "s3"));
  EXPECT_TRUE(replica("s1").dispensable());
}

TEST_F(ReplicaPlacementTest, AMoveMayBeTakenBack) {
  place({"s1"});
  start("s1");
  add({"s2"});
  start("s2");
  move({"s2"});
  pass(1s);
  move({"s1"});
  pass(3s);
  EXPECT_TRUE(leads("s1"));
  EXPECT_THAT(shards_in_sync(), ElementsAre("s1"));
  EXPECT_TRUE(replica("s2").dispensable());
}

TEST_F(ReplicaPlacementTest, OnlyTheSoleReplicaNeedsNoLease) {
  place({"s1"});
  start("s1");
  add({"s2"});
  start("s2");
  renew("s1", std::nullopt);
  EXPECT_TRUE(leads("s1"));
  renew("s1", now_ + 1500ms);
  move({"s2"});
  pass(1300ms);
  ASSERT_THAT(shards_in_sync(), ElementsAre("s1", "s2"));
  EXPECT_TRUE(leads("s1"));
  node("s1").proposes = false;  // so that s2 stays in the set
  move({"s1"});
  pass(500ms);
  EXPECT_FALSE(leads("s1")) << "s2 may be elected";
}

TEST_F(ReplicaPlacementTest, WhatOneMemoryReplicaHeldIsNotWaitedForWhileItMoves) {
  place({"s1"});
  node("s1").settings.forgetful = true;
  start("s1");
  add({"s2"});
  node("s2").linked = false;
  start("s2");
  write("s1", {"a"});
  move({"s2"});
  stop("s1");
  pass(10s);
  EXPECT_FALSE(leads("s2"));
  EXPECT_THAT(replica("s2").trouble(now_), HasSubstr("canopy elect"));
  start("s1", true);
  EXPECT_TRUE(leads("s1"));
  write("s1", {"b"});
  join("s2");
  pass(15s);
  EXPECT_TRUE(leads("s2"));
  EXPECT_THAT(keys("s2"), ElementsAre("b"));
}

TEST_F(ReplicaPlacementTest, ALostRecordIsWrittenAgainWithItsPlacement) {
  place({"s1"});
  start("s1");
  add({"s2"});
  start("s2");
  move({"s2"});
  pass(15s);
  ASSERT_TRUE(leads("s2"));
  const PartitionRecord before = *record_;
  set_record(std::nullopt);
  EXPECT_FALSE(replica("s1").dispensable());
  pass(1s);
  EXPECT_EQ(record_, before);
}

}  // namespace
}  // namespace canopy::cluster
