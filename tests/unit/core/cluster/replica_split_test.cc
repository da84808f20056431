// A partition that is split at an entry of its log.
#include <gmock/gmock.h>

#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> values(const keyspace::Tree& tree) {
  std::vector<std::string> values;
  for (auto at = tree.view().seek(""); !at.done(); at.next()) values.emplace_back((*at)->value);
  return values;
}

class ReplicaSplitTest : public Replicas, public ::testing::Test {
 protected:
  void split(const std::string& shard, const std::string& subtree) {
    const keyspace::Entry entry{.key = subtree, .revision = replica(shard).next(), .splits = true};
    std::vector<keyspace::LogEntry> entries{{.update = wire::make_update(entry)}};
    call(shard, [&](Replica& at, auto& out) { at.propose(std::move(entries), now_, out); });
    run();
  }
  const Replica::SplitOff& part(const std::string& shard) {
    EXPECT_THAT(node(shard).split_off, SizeIs(1));
    return node(shard).split_off.front();
  }
};

TEST_F(ReplicaSplitTest, EveryReplicaTakesTheSameOutOfItsCopy) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"x", "a/1", "a/2"}, 7);
  run();
  split("s1", "/p/a/");
  write("s1", {"y"});
  pass(1s);
  for (const char* shard : {"s1", "s2"}) {
    EXPECT_THAT(keys(shard), ElementsAre("x", "y")) << shard;
    EXPECT_TRUE(replica(shard).splits().cover("/p/a/1"));
    EXPECT_FALSE(replica(shard).splits().cover("/p/b"));
    const Replica::SplitOff& made = part(shard);
    EXPECT_EQ(made.subtree, "/p/a/");
    EXPECT_THAT(values(made.copy.tree), ElementsAre("a/1", "a/2"));
    EXPECT_EQ(made.copy.committed, replica(shard).splits().newest());
    EXPECT_THAT(made.copy.requests, SizeIs(1)) << "a request that comes again is recognised";
    EXPECT_THAT(made.recent, SizeIs(2));
    EXPECT_EQ(made.copy.history.back().last, made.copy.committed.counter());
    stop(shard);
    start(shard);
    pass(5s);
    EXPECT_THAT(keys(shard), ElementsAre("x", "y")) << "and as stored";
    EXPECT_THAT(replica(shard).unrecorded(), ElementsAre("/p/a/"));
  }
}

TEST_F(ReplicaSplitTest, ASplitThatWasNotCommittedIsNone) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a/1"});
  run();
  node("s2").stores = false;
  node("s1").stores = false;
  split("s1", "/p/a/");
  EXPECT_THAT(node("s1").split_off, IsEmpty());
  EXPECT_THAT(keys("s1"), ElementsAre("a/1"));
  stop("s1");
  node("s2").storing.clear();
  node("s2").stores = true;
  stop("s2");
  start("s2");
  pass(3s);
  EXPECT_TRUE(leads("s2"));
  EXPECT_THAT(keys("s2"), ElementsAre("a/1"));
  EXPECT_TRUE(replica("s2").splits().empty());
}

TEST_F(ReplicaSplitTest, NoReplicaJoinsBeforeThePartHasARecord) {
  place({"s1", "s2"});
  start("s1");
  pass(3s);
  write("s1", {"a/1", "x"});
  split("s1", "/p/a/");
  start("s2");
  pass(5s);
  EXPECT_THAT(in_sync(), ElementsAre(id("s1")));
  EXPECT_THAT(keys("s2"), ElementsAre("x")) << "it follows meanwhile";
  call("s1", [](Replica& at, auto&) { at.on_split_recorded("/p/a/"); });
  pass(3s);
  EXPECT_THAT(in_sync(), ElementsAre(id("s1"), id("s2")));
}

TEST_F(ReplicaSplitTest, ASnapshotTellsWhatWasSplitOff) {
  place({"s1", "s2"});
  node("s1").settings.log.updates = node("s2").settings.log.updates = 1;
  start("s1");
  write("s1", {"a/1", "a/b/1", "x"});
  split("s1", "/p/a/b/");
  split("s1", "/p/a/");
  for (const char* key : {"1", "2", "3"}) write("s1", {key});
  run();
  ASSERT_THAT(node("s1").split_off, SizeIs(2));
  EXPECT_TRUE(node("s1").split_off[1].copy.splits.cover("/p/a/b/1")) << "what is split off it";
  start("s2");
  pass(1s);
  EXPECT_GT(node("s2").replaced, 0u);
  EXPECT_THAT(node("s2").split_off, IsEmpty());
  EXPECT_TRUE(replica("s2").splits().cover("/p/a/1"));
  EXPECT_THAT(keys("s2"), ElementsAre("1", "2", "3", "x"));
  EXPECT_EQ(node("s2").disk.content.splits.list().size(), 1u);
}

class ReplicaPartTest : public Replicas, public ::testing::Test {
 protected:
  // The copies of the part that s1 and s2 created when they applied the split entry.
  void SetUp() override {
    place({"s1", "s2"});
    for (auto& [shard, each] : nodes_) {
      each.settings.partition = "/p/";
      auto& content = each.disk.content;
      content.tree.put(
          wire::make_update({.key = "/p/a", .value = "a", .revision = keyspace::Revision(4, 1)}));
      content.committed = keyspace::Revision(4, 2);
      content.history = {{4, 77, 2}};
    }
  }
  void create(const std::string& shard) {
    call(shard, [&](Replica& at, auto& out) {
      at.create({.parent = "", .members = {id("s1"), id("s2")}, .placement = {"s2", "s1"}}, now_,
                out);
    });
    run();
  }
};

TEST_F(ReplicaPartTest, IsCreatedByTheOneWhoseParentLeads) {
  start_all();
  pass(10s);
  EXPECT_FALSE(record_) << "no copy creates it by itself";
  EXPECT_EQ(replica("s1").trouble(now_), "");
  create("s1");
  ASSERT_TRUE(record_);
  EXPECT_EQ(record_->leader, id("s1"));
  EXPECT_THAT(in_sync(), ElementsAre(id("s1"), id("s2")));
  EXPECT_THAT(record_->placement, ElementsAre("s2", "s1"));
  EXPECT_EQ(record_->parent, "");
  EXPECT_EQ(record_->epoch, 5u);
  pass(1s);
  EXPECT_TRUE(leads("s1"));
  write("s1", {"b"});
  pass(15s);
  EXPECT_TRUE(leads("s2")) << "which is preferred";
  EXPECT_EQ(record_->parent, "");
  EXPECT_THAT(keys("s2"), ElementsAre("a", "b"));
}

TEST_F(ReplicaPartTest, ALateMemberFollowsWithTheCopyThatItsSplitMakes) {
  start("s1");
  create("s1");
  const PartitionRecord first = *record_;
  EXPECT_THAT(in_sync(), ElementsAre(id("s1"))) << "s2 is not there";
  start("s2");
  pass(2s);
  EXPECT_EQ(node("s2").replaced, 0u);
  EXPECT_THAT(in_sync(), ElementsAre(id("s1"), id("s2")));
  EXPECT_EQ(record_->epoch, first.epoch);
}

TEST_F(ReplicaPartTest, IsNotCreatedTwice) {
  start_all();
  create("s1");
  const PartitionRecord first = *record_;
  create("s2");
  pass(1s);
  EXPECT_EQ(record_, first);
}

}  // namespace
}  // namespace canopy::cluster
