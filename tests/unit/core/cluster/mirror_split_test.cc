// A mirror whose partition is split.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/cluster/mirror.h"
#include "tests/unit/core/cluster/leader.h"

namespace canopy::cluster {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class MirrorSplitTest : public MirrorTest {
 protected:
  void SetUp() override {
    leader_.write("/p/a/1", "1");
    leader_.write("/p/a/2", "2");
    leader_.write("/p/b", "3");
    leader_.write("/p/a/2", "");
    join(leader_);
    effects_ = {};
  }
  // The next entry of the leader's log.
  wire::Batch split(Leader& leader) {
    wire::Batch batch = leader.heartbeat();
    batch.updates.push_back(
        wire::make_update({.key = "/p/a/", .revision = batch.after.next(), .splits = true}));
    return batch;
  }
  wire::Batch after(const wire::Batch& before, const std::string& key, const std::string& value) {
    wire::Batch batch = before;
    batch.after = before.end();
    batch.updates = {wire::make_update(
        {.key = key, .value = value, .revision = batch.after.next(), .deleted = value.empty()})};
    return batch;
  }

  Leader leader_{1};
};

TEST_F(MirrorSplitTest, IsDividedAtTheSplitEntry) {
  const wire::Batch entry = split(leader_);
  mirror_.on_batch(entry, now_, effects_);
  EXPECT_THAT(effects_.applied, IsEmpty()) << "clients are told nothing";
  ASSERT_THAT(effects_.split_off, SizeIs(1));
  Mirror::SplitOff& part = effects_.split_off[0];
  EXPECT_EQ(part.subtree, "/p/a/");
  EXPECT_TRUE(part.ready);
  EXPECT_EQ(part.revision, entry.end());
  EXPECT_EQ(part.lineage, leader_.lineage());
  EXPECT_EQ(contents(part.tree), (Map{{"/p/a/1", "1"}}));
  EXPECT_EQ(contents(mirror_.tree()), (Map{{"/p/b", "3"}}));
  EXPECT_EQ(mirror_.revision(), entry.end());
  mirror_.on_batch(after(entry, "/p/b", "4"), now_, effects_);
  EXPECT_THAT(effects_.applied, SizeIs(1));

  Mirror other(std::move(part), MirrorSettings());
  EXPECT_FALSE(other.ready()) << "it may be older than what clients have heard elsewhere";
  Mirror::Effects out;
  other.start(now_, out);
  const wire::Sync sync = last_sync(out);
  EXPECT_EQ(sync.since, entry.end());
  EXPECT_EQ(sync.lineage, leader_.lineage());
  other.on_chunk({.request = sync.request,
                  .partition = "/p/a/",
                  .lineage = 99,
                  .revision = Revision(2, 0),
                  .last = true},
                 now_, out);
  EXPECT_TRUE(other.ready());
  EXPECT_THAT(out.applied, IsEmpty());
  EXPECT_EQ(out.replays, 1u);
  EXPECT_EQ(contents(other.tree()), (Map{{"/p/a/1", "1"}}));
}

TEST_F(MirrorSplitTest, OfASnapshotTheRestIsNotTakenForDeleted) {
  wire::Batch batch = after(split(leader_), "/p/b", "4");
  Leader successor(3);
  mirror_.start(now_, effects_);
  const wire::Sync sync = last_sync(effects_);
  const Revision cut = batch.end();
  mirror_.on_chunk({.request = sync.request,
                    .partition = "/p/",
                    .lineage = leader_.lineage(),
                    .kind = wire::Chunk::Kind::snapshot,
                    .revision = cut,
                    .floor = Revision(1, 0),
                    .last = true,
                    .updates = {split(leader_).updates[0], batch.updates[0]}},
                   now_, effects_);
  ASSERT_THAT(effects_.applied, SizeIs(1));
  EXPECT_EQ(effects_.applied[0]->key, "/p/b");
  ASSERT_THAT(effects_.split_off, SizeIs(1));
  EXPECT_EQ(effects_.split_off[0].revision, leader_.revision()) << "what it knew before";
  EXPECT_EQ(contents(effects_.split_off[0].tree), (Map{{"/p/a/1", "1"}}));
}

TEST_F(MirrorSplitTest, WhatIsHeardOfEarlierPassesNothingOnOfThePart) {
  Mirror::SplitOff part = mirror_.split_off("/p/a/");
  EXPECT_EQ(part.revision, leader_.revision());
  mirror_.on_batch(leader_.write("/p/a/1", "late"), now_, effects_);
  EXPECT_THAT(effects_.applied, IsEmpty());
  mirror_.on_batch(split(leader_), now_, effects_);
  EXPECT_THAT(effects_.split_off, IsEmpty());
  mirror_.start(now_, effects_);
  feed(leader_.answer(last_sync(effects_)));
  EXPECT_THAT(effects_.applied, IsEmpty()) << "a snapshot from before the split";
  EXPECT_EQ(contents(mirror_.tree()), (Map{{"/p/b", "3"}}));
  EXPECT_FALSE(mirror_.split_off("/p/a/").ready) << "it is elsewhere";
}

TEST_F(MirrorSplitTest, AMirrorThatHoldsNothingYetHasNothingToDivide) {
  Mirror fresh("/p/");
  const Mirror::SplitOff part = fresh.split_off("/p/a/");
  EXPECT_FALSE(part.ready);
}

}  // namespace
}  // namespace canopy::cluster
