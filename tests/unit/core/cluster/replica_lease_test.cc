// When a leader may serve reads: they must not be older than the reads of another leader.
#include <gmock/gmock.h>

#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ReplicaLeaseTest : public testing::Test, public Replicas {};

TEST_F(ReplicaLeaseTest, ANewLeaderFirstCommitsWhatTheFormerOneMayHave) {
  place({"s1", "s2", "s3"});
  start_all();
  write("s1", {"a"});
  run();
  node("s3").stores = false;
  write("s1", {"b"});
  run();
  stop("s1");
  EXPECT_EQ(record_->leader, id("s2"));
  EXPECT_FALSE(leads("s2"));
  EXPECT_THAT(replica("s2").trouble(now_), HasSubstr("former leaders"));
  while (store("s3")) run();
  EXPECT_TRUE(leads("s2"));
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b"));
}

TEST_F(ReplicaLeaseTest, AfterALapseTheCoordinatorMustConfirmTheLeader) {
  place({"s1", "s2"});
  start_all();
  EXPECT_TRUE(leads("s1"));
  node("s1").proposes = false;
  renew("s1", now_);
  EXPECT_FALSE(leads("s1"));
  renew("s1", now_ + 1h);
  EXPECT_FALSE(leads("s1"));
  EXPECT_THAT(replica("s1").trouble(now_), HasSubstr("not confirmed"));
  node("s1").proposes = true;
  run();
  EXPECT_TRUE(leads("s1"));
  EXPECT_EQ(record_->epoch, replica("s1").epoch());
}

TEST_F(ReplicaLeaseTest, AProposalOfBeforeTheLapseConfirmsNothing) {
  place({"s1", "s2"});
  start("s1");
  node("s1").proposes = false;
  start("s2");
  ASSERT_TRUE(node("s1").proposal);  // of s2 as a member
  renew("s1", std::nullopt);
  renew("s1", now_ + 1h);
  node("s1").proposes = true;
  ASSERT_TRUE(decide("s1"));
  EXPECT_EQ(in_sync().size(), 2u);
  EXPECT_FALSE(leads("s1"));
  run();
  EXPECT_TRUE(leads("s1"));
}

TEST_F(ReplicaLeaseTest, ALeaderThatHandsOverIsNotReadAnyMore) {
  place({"s1", "s2"});
  start_all();
  stop("s1");
  start("s1");
  ASSERT_TRUE(leads("s2"));
  node("s2").informed = node("s2").hears = false;
  for (int i = 0; i < 120 && record_->leader == id("s2"); ++i) pass(100ms);
  EXPECT_EQ(record_->leader, id("s1"));
  EXPECT_FALSE(leads("s2"));
}

}  // namespace
}  // namespace canopy::cluster
