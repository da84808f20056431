// A leader and its followers: what is committed, and when.
#include "core/cluster/replica.h"

#include <gmock/gmock.h>

#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using keyspace::Revision;
using testing::ElementsAre;
using testing::IsEmpty;

class ReplicaTest : public testing::Test, protected Replicas {};

TEST_F(ReplicaTest, TheFirstOfThePlacementBeginsAndTheOthersJoin) {
  place({"s1", "s2", "s3"});
  start_all();
  EXPECT_TRUE(leads("s1"));
  EXPECT_FALSE(leads("s2"));
  EXPECT_EQ(in_sync(), (std::vector{id("s1"), id("s2"), id("s3")}));
  EXPECT_EQ(replica("s1").epoch(), 1u);
  EXPECT_EQ(replica("s3").epoch(), 1u);
  EXPECT_EQ(replica("s2").lineage(), record_->lineage);
  for (const char* shard : {"s1", "s2", "s3"}) EXPECT_EQ(replica(shard).trouble(now_), "");
}

TEST_F(ReplicaTest, AnEntryIsCommittedWhenEveryMemberHasStoredIt) {
  place({"s1", "s2", "s3"});
  start_all();
  node("s3").stores = false;
  write("s1", {"a"}, 7);
  run();
  EXPECT_THAT(keys("s1"), IsEmpty());
  EXPECT_EQ(replica("s1").lags(), (std::map<std::string, std::uint64_t>{{"s2", 0}, {"s3", 1}}));
  store("s3");
  run();
  for (const char* shard : {"s1", "s2"}) {
    EXPECT_THAT(keys(shard), ElementsAre("a"));
    EXPECT_THAT(committed(shard), ElementsAre("a"));
    EXPECT_EQ(replica(shard).requests().look_up("client", 7, 0).revision, Revision(1, 1));
  }
  store("s3");
  run();
  EXPECT_THAT(keys("s3"), ElementsAre("a"));
}

TEST_F(ReplicaTest, TheLeaderStoresToo) {
  place({"s1", "s2"});
  start_all();
  node("s1").stores = false;
  write("s1", {"a"});
  run();
  EXPECT_THAT(keys("s1"), IsEmpty());
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 1)) << "the others need not wait for that";
  store("s1");
  run();
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
}

TEST_F(ReplicaTest, ALeaderAloneTellsItsStoreWithTheEntries) {
  place({"s1"});
  start_all();
  const std::size_t commits = count<Replica::Commit>("s1");
  write("s1", {"a"});
  EXPECT_TRUE(std::get<Replica::StoreEntries>(node("s1").operations.back()).committed);
  run();
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
  EXPECT_EQ(count<Replica::Commit>("s1"), commits);
  EXPECT_EQ(node("s1").disk.content.committed, Revision(1, 1));
}

TEST_F(ReplicaTest, AMemberThatIsGoneIsWaitedForUntilTheRecordSaysSo) {
  place({"s1", "s2"});
  start_all();
  node("s1").proposes = false;
  stop("s2");
  write("s1", {"a"});
  run();
  EXPECT_THAT(keys("s1"), IsEmpty());
  ASSERT_TRUE(node("s1").proposal);
  pass(30s);
  EXPECT_THAT(keys("s1"), IsEmpty()) << "nobody knows what became of the proposal";
  node("s1").proposes = true;
  run();
  EXPECT_EQ(in_sync(), std::vector{id("s1")});
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
}

TEST_F(ReplicaTest, AMemberThatDoesNotStoreLeavesTheSetAfterAWhile) {
  place({"s1", "s2"});
  start_all();
  node("s2").stores = false;
  pass(10s);
  EXPECT_EQ(in_sync().size(), 2u) << "nothing waits for it";
  write("s1", {"a"});
  pass(1900ms);
  EXPECT_EQ(in_sync().size(), 2u);
  pass(300ms);
  EXPECT_EQ(in_sync(), std::vector{id("s1")});
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
  node("s2").stores = true;
  run();
  EXPECT_EQ(in_sync().size(), 2u) << "it has caught up";
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
}

TEST_F(ReplicaTest, AMemberWithoutALinkStaysWhileNothingWaits) {
  place({"s1", "s2"});
  start_all();
  isolate("s2");
  pass(10s);
  EXPECT_EQ(in_sync().size(), 2u);
  write("s1", {"a"});
  pass(3s);
  EXPECT_EQ(in_sync(), std::vector{id("s1")});
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
  join("s2");
  EXPECT_EQ(in_sync().size(), 2u);
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
}

TEST_F(ReplicaTest, FromTheAttemptOnANewMemberIsWaitedFor) {
  place({"s1", "s2"});
  start("s1");
  node("s1").proposes = false;
  start("s2");
  ASSERT_TRUE(node("s1").proposal);
  EXPECT_EQ(node("s1").proposal->record.in_sync.size(), 2u);
  node("s2").stores = false;
  write("s1", {"a"});
  run();
  EXPECT_FALSE(std::get<Replica::StoreEntries>(node("s1").operations.back()).committed);
  EXPECT_THAT(keys("s1"), IsEmpty());
  store("s2");
  run();
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
}

// Under a load that never pauses a follower always lacks something.
TEST_F(ReplicaTest, AFollowerJoinsUnderLoad) {
  place({"s1", "s2"});
  start("s1");
  node("s2").stores = false;
  start("s2");
  for (int i = 0; i < 10 && in_sync().size() < 2; ++i) {
    write("s1", {"k" + std::to_string(i)});
    store("s2");
    write("s1", {"l" + std::to_string(i)});
    run();
  }
  EXPECT_EQ(in_sync().size(), 2u);
}

TEST_F(ReplicaTest, BelowMinInSyncNothingIsCommitted) {
  place({"s1", "s2"}, 2);
  start("s1");
  EXPECT_TRUE(leads("s1"));
  EXPECT_FALSE(replica("s1").enough_in_sync());
  EXPECT_NE(replica("s1").trouble(now_), "");
  write("s1", {"a"});
  run();
  EXPECT_THAT(keys("s1"), IsEmpty());
  start("s2");
  EXPECT_TRUE(replica("s1").enough_in_sync());
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
  EXPECT_THAT(keys("s2"), ElementsAre("a"));
  stop("s2");
  EXPECT_EQ(in_sync().size(), 1u);
  EXPECT_FALSE(replica("s1").enough_in_sync());
}

TEST_F(ReplicaTest, ARequestIsCommittedWhole) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  // Large enough for several messages; the first of them is acknowledged alone.
  const std::string big(200'000, 'v');
  node("s2").stores = false;
  write("s1", {big + "1", big + "2", big + "3"});
  const auto first = replica("s1").next_for("s2", now_);
  ASSERT_TRUE(first);
  ASSERT_EQ(std::get<wire::Append>(*first).entries.size(), 1u);
  call("s2", [&](Replica& at, auto& out) { at.on_message("s1", *first, now_, out); });
  store("s2");
  for (const auto& message : std::exchange(node("s2").messages, {})) {
    call("s1", [&](Replica& at, auto& out) { at.on_message("s2", message.body, now_, out); });
  }
  store("s1");
  EXPECT_EQ(replica("s1").committed(), Revision(1, 1));
  EXPECT_EQ(replica("s2").committed(), Revision(1, 1));
  node("s2").stores = true;
  run();
  EXPECT_EQ(replica("s1").committed(), Revision(1, 4));
  EXPECT_EQ(replica("s2").committed(), Revision(1, 4));
}

TEST_F(ReplicaTest, AfterItsDeadlineALeaderCommitsNothing) {
  place({"s1", "s2"});
  start_all();
  const unsigned changes = node("s1").leadership_changes;
  renew("s1", now_ + 1s);
  pass(1s);
  EXPECT_FALSE(leads("s1"));
  EXPECT_EQ(node("s1").leadership_changes, changes + 1);
  EXPECT_NE(replica("s1").trouble(now_), "");
  write("s1", {"a"});
  run();
  EXPECT_THAT(keys("s1"), IsEmpty());
  EXPECT_EQ(replica("s2").log().last(), Revision(1, 1));
  renew("s1", now_ + 1s);
  run();
  EXPECT_TRUE(leads("s1"));
  EXPECT_EQ(replica("s1").epoch(), 1u) << "the record is still its own";
  EXPECT_THAT(keys("s1"), ElementsAre("a"));
}

TEST_F(ReplicaTest, APausedLeaderGivesItsFollowersTime) {
  place({"s1", "s2"});
  start_all();
  node("s2").stores = false;
  write("s1", {"a"});
  run();
  now_ += 10s;
  call("s1", [&](Replica& at, auto& out) { at.tick(now_, out); });
  EXPECT_FALSE(node("s1").proposal);
  node("s2").stores = true;
  run();
  EXPECT_EQ(in_sync().size(), 2u);
}

TEST_F(ReplicaTest, KeepsNoTreeOfWhatIsNotRetained) {
  place({"s1", "s2"});
  for (auto& [shard, node] : nodes_) node.settings.retain = false;
  start_all();
  write("s1", {"a", "b"}, 3);
  run();
  for (const char* shard : {"s1", "s2"}) {
    EXPECT_THAT(keys(shard), IsEmpty());
    EXPECT_THAT(committed(shard), ElementsAre("a", "b"));
    EXPECT_TRUE(replica(shard).requests().look_up("client", 3, 0).revision);
  }
}

TEST_F(ReplicaTest, RemembersDeletions) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  call("s1", [&](Replica& at, auto& out) {
    at.propose(
        {{.update = wire::make_update({.key = "/p/a", .revision = at.next(), .deleted = true})}},
        now_, out);
  });
  run();
  for (const char* shard : {"s1", "s2"}) {
    EXPECT_THAT(keys(shard), IsEmpty());
    EXPECT_EQ(replica(shard).tombstones().size(), 1u);
  }
}

}  // namespace
}  // namespace canopy::cluster
