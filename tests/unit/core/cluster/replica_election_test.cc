// Elections, restarts, handing over, and the decisions that only an operator may take.
#include <gmock/gmock.h>

#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using keyspace::Revision;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ReplicaElectionTest : public testing::Test, protected Replicas {};

TEST_F(ReplicaElectionTest, TheMostPreferredMemberTakesOver) {
  place({"s1", "s2", "s3"});
  start_all();
  write("s1", {"a"});
  run();
  stop("s1");
  EXPECT_TRUE(leads("s2"));
  EXPECT_EQ(record_->epoch, 2u);
  EXPECT_EQ(in_sync(), (std::vector{id("s2"), id("s3")})) << "dropped by the same change";
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
  EXPECT_GT(node("s2").leadership_changes, 1u);
  write("s2", {"b"});
  run();
  EXPECT_THAT(keys("s3"), ElementsAre("a", "b"));
  EXPECT_EQ(replica("s3").committed(), Revision(2, 1));
}

TEST_F(ReplicaElectionTest, TheOthersWaitForTheirTurn) {
  place({"s1", "s2", "s3"});
  start_all();
  node("s2").proposes = false;
  stop("s1");
  pass(100ms);
  EXPECT_FALSE(node("s3").proposal);
  pass(200ms);
  EXPECT_TRUE(leads("s3"));
  node("s2").proposes = true;
  run();
  EXPECT_FALSE(leads("s2")) << "it was late";
  EXPECT_EQ(record_->leader, id("s3"));
}

TEST_F(ReplicaElectionTest, WhatWasNotCommittedByTheFormerLeaderIsByTheNextOne) {
  place({"s1", "s2", "s3"});
  start_all();
  node("s3").stores = false;
  write("s1", {"a"});
  run();
  EXPECT_THAT(committed("s2"), IsEmpty());
  stop("s1");
  ASSERT_EQ(record_->leader, id("s2"));
  EXPECT_THAT(keys("s2"), IsEmpty()) << "its epoch is not stored by all";
  node("s3").stores = true;
  run();
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
  EXPECT_THAT(keys("s3"), ElementsAre("a"));
}

TEST_F(ReplicaElectionTest, WhatIsOfAFormerEpochIsCommittedWithTheStartOfTheNextOne) {
  place({"s1", "s2", "s3"});
  start_all();
  write("s1", {"a"});
  deliver("s1");
  store("s2");
  store("s3");
  node("s3").stores = false;
  stop("s1");
  ASSERT_EQ(record_->leader, id("s2"));
  EXPECT_EQ(replica("s2").lags().at("s3"), 0u);
  EXPECT_THAT(keys("s2"), IsEmpty());
  node("s3").stores = true;
  run();
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
  EXPECT_THAT(keys("s3"), ElementsAre("a"));
}

// The new leader does not know that its predecessor committed the entry.
TEST_F(ReplicaElectionTest, NobodyJoinsWithoutWhatAFormerLeaderMayHaveCommitted) {
  place({"s1", "s2", "s3"}, 2);
  start("s1");
  start("s2");
  write("s1", {"a"});
  store("s1");
  deliver("s1");
  store("s2");
  deliver("s2");
  ASSERT_THAT(committed("s1"), ElementsAre("a"));
  ASSERT_THAT(committed("s2"), IsEmpty());
  stop("s1");
  ASSERT_EQ(in_sync(), std::vector{id("s2")});
  node("s3").stores = false;
  start("s3");
  for (std::size_t left = node("s3").storing.size(); left > 1; --left) {
    EXPECT_EQ(in_sync(), std::vector{id("s2")}) << left;
    store("s3", 1);
    run();
  }
  node("s3").stores = true;
  run();
  EXPECT_EQ(in_sync().size(), 2u);
  EXPECT_THAT(keys("s3"), ElementsAre("a"));
}

TEST_F(ReplicaElectionTest, ALeaderThatRestartsTakesAnotherEpoch) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  stop("s1", false);
  node("s1").proposes = false;
  start("s1");
  EXPECT_FALSE(leads("s1")) << "the record names it, but of another incarnation";
  tell_record("s1");
  tell_record("s1");
  EXPECT_FALSE(leads("s1"));
  node("s1").proposes = true;
  run();
  EXPECT_TRUE(leads("s1"));
  EXPECT_EQ(replica("s1").epoch(), 2u);
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
  EXPECT_EQ(in_sync().size(), 2u);
  EXPECT_EQ(replica("s2").committed(), Revision(2, 0));
}

TEST_F(ReplicaElectionTest, NobodyOutsideTheSetIsElected) {
  place({"s1", "s2"});
  start_all();
  isolate("s2");
  write("s1", {"a"});
  pass(3s);
  ASSERT_EQ(in_sync().size(), 1u);
  stop("s1");
  join("s2");
  pass(10s);
  EXPECT_FALSE(leads("s2"));
  EXPECT_EQ(record_->leader, id("s1"));
  EXPECT_THAT(replica("s2").trouble(now_), HasSubstr("canopy elect"));
  start("s1");
  EXPECT_TRUE(leads("s1"));
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
  EXPECT_EQ(replica("s2").trouble(now_), "");
}

TEST_F(ReplicaElectionTest, AnOperatorMayAcceptLoss) {
  place({"s1", "s2"});
  start_all();
  isolate("s2");
  write("s1", {"a"});
  pass(3s);
  stop("s1");
  join("s2");
  call("s2", [&](Replica& at, auto& out) { at.accept_loss(now_, out); });
  run();
  EXPECT_TRUE(leads("s2"));
  EXPECT_EQ(in_sync(), std::vector{id("s2")});
  write("s2", {"b"});
  run();
  // The entries that the lost replica committed beyond that are lost with its copy.
  start("s1");
  EXPECT_THAT(keys("s1"), ElementsAre("b"));
  EXPECT_EQ(node("s1").replaced, 1u);
  EXPECT_EQ(in_sync().size(), 2u);
}

TEST_F(ReplicaElectionTest, AMemoryReplicaThatRestartedIsAnotherOne) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  // It restarts within its lease: the other replica notices by the new identity.
  stop("s1", false);
  EXPECT_FALSE(leads("s2"));
  start("s1", true);
  pass(2s);
  EXPECT_TRUE(leads("s2"));
  EXPECT_EQ(in_sync(), (std::vector{id("s1"), id("s2")}));
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
}

TEST_F(ReplicaElectionTest, AMemberOfAnotherIdentityIsReplaced) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  const ReplicaId before = id("s2");
  stop("s2", false);
  EXPECT_EQ(in_sync().back(), before);
  start("s2", true);
  EXPECT_EQ(in_sync(), (std::vector{id("s1"), id("s2")}));
  EXPECT_NE(id("s2"), before);
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
}

TEST_F(ReplicaElectionTest, AnEmptyCopyLeadsOnlyWhereNothingElseIsPromised) {
  place({"s1"});
  start("s1");
  write("s1", {"a"});
  run();
  stop("s1");
  start("s1", true);
  pass(5s);
  EXPECT_FALSE(leads("s1"));
  EXPECT_THAT(replica("s1").trouble(now_), HasSubstr("canopy elect"));
  stop("s1");
  node("s1").settings.forgetful = true;
  start("s1", true);
  EXPECT_TRUE(leads("s1"));
  EXPECT_EQ(in_sync(), std::vector{id("s1")});
  EXPECT_EQ(record_->epoch, 2u);
}

TEST_F(ReplicaElectionTest, VirginReplicasWaitForThePreferredOne) {
  place({"s1", "s2", "s3"});
  start("s3");
  EXPECT_FALSE(record_);
  start("s2");
  pass(300ms);
  ASSERT_TRUE(record_);
  EXPECT_TRUE(leads("s2"));
}

TEST_F(ReplicaElectionTest, WhoLeadsWritesALostRecordAgain) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  const PartitionRecord before = *record_;
  node("s1").proposes = false;
  set_record(std::nullopt);
  write("s1", {"b"});
  run();
  EXPECT_THAT(keys("s1"), ElementsAre("a")) << "nothing is committed without a record";
  node("s1").proposes = true;
  run();
  EXPECT_EQ(record_, before);
  EXPECT_TRUE(leads("s1"));
  EXPECT_THAT(keys("s1"), ElementsAre("a", "b"));
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b"));
}

TEST_F(ReplicaElectionTest, ARecordThatWentBackIsALostOne) {
  place({"s1", "s2"});
  start_all();
  const PartitionRecord old = *record_;
  stop("s1");
  start("s1");
  ASSERT_TRUE(leads("s2"));
  const PartitionRecord last = *record_;
  set_record(old);
  run();
  EXPECT_EQ(record_, last);
  EXPECT_TRUE(leads("s2"));
  EXPECT_FALSE(leads("s1"));
}

TEST_F(ReplicaElectionTest, ALostRecordIsNotGuessed) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  stop("s1");
  stop("s2");
  set_record(std::nullopt);
  start("s1");
  pass(5s);
  EXPECT_FALSE(record_);
  EXPECT_THAT(replica("s1").trouble(now_), HasSubstr("canopy elect"));
  call("s1", [&](Replica& at, auto& out) { at.accept_loss(now_, out); });
  run();
  EXPECT_TRUE(leads("s1"));
  EXPECT_GT(record_->epoch, 1u);
}

TEST_F(ReplicaElectionTest, TheOnlyMemberCreatesALostRecord) {
  place({"s1", "s2"});
  start("s1");
  write("s1", {"a"});
  run();
  stop("s1");
  set_record(std::nullopt);
  start("s1");
  EXPECT_TRUE(leads("s1"));
  EXPECT_EQ(record_->epoch, 2u);
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
}

TEST_F(ReplicaElectionTest, AnEpochIsAboveTheGenerationsGranted) {
  place({"s1"});
  node("s1").hears = false;
  start("s1");
  replica("s1").on_generation(40);
  node("s1").hears = true;
  tell_record("s1");
  run();
  EXPECT_EQ(record_->epoch, 40u);
}

TEST_F(ReplicaElectionTest, WithoutALeaseNobodyAsks) {
  place({"s1", "s2"});
  start_all();
  renew("s2", std::nullopt);
  stop("s1");
  pass(1s);
  EXPECT_EQ(record_->epoch, 1u);
  renew("s2", now_ + 1h);
  run();
  EXPECT_TRUE(leads("s2"));
}

TEST_F(ReplicaElectionTest, TheLeaderHandsOverToThePreferredOne) {
  place({"s1", "s2"});
  start_all();
  stop("s1");
  ASSERT_TRUE(leads("s2"));
  start("s1");
  pass(9s);
  EXPECT_TRUE(leads("s2"));
  node("s1").stores = false;
  write("s2", {"a"});
  pass(1200ms);
  EXPECT_TRUE(leads("s2"));
  EXPECT_THAT(replica("s2").trouble(now_), HasSubstr("handed over to s1"));
  node("s1").stores = true;
  pass(100ms);
  EXPECT_TRUE(leads("s1"));
  EXPECT_FALSE(leads("s2"));
  EXPECT_EQ(record_->epoch, 3u);
  EXPECT_EQ(in_sync().size(), 2u);
  write("s1", {"b"});
  run();
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b"));
}

TEST_F(ReplicaElectionTest, ALeaderThatLearnsOfANewerOneEndsAtOnce) {
  place({"s1", "s2", "s3"});
  start_all();
  node("s1").hears = false;
  isolate("s1");
  write("s1", {"lost"});
  run();
  expire("s1");
  run();
  ASSERT_EQ(record_->leader, id("s2"));
  write("s2", {"a"});
  run();
  EXPECT_TRUE(leads("s1")) << "it has not heard yet, and commits nothing";
  EXPECT_THAT(keys("s1"), IsEmpty());
  node("s1").hears = true;
  tell_record("s1");
  EXPECT_FALSE(leads("s1"));
  EXPECT_EQ(replica("s1").log().last(), Revision(1, 1)) << "until the new leader says otherwise";
  alive_.insert("s1");
  join("s1");
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
  EXPECT_THAT(committed("s1"), ElementsAre("a"));
}

TEST_F(ReplicaElectionTest, AnOutcomeThatComesLateChangesNothing) {
  place({"s1", "s2"});
  start_all();
  node("s2").informed = false;
  stop("s1");
  EXPECT_TRUE(leads("s2")) << "the record tells as well";
  EXPECT_EQ(replica("s2").epoch(), 2u);
  write("s2", {"a"});
  inform("s2");
  run();
  EXPECT_EQ(replica("s2").epoch(), 2u);
  EXPECT_TRUE(leads("s2"));
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
}

}  // namespace
}  // namespace canopy::cluster
