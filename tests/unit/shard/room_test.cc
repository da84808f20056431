#include "shard/room.h"

#include <gtest/gtest.h>

#include "core/wire/entry.h"

namespace canopy::shard {
namespace {

using Verdict = Space::Verdict;
using keyspace::Revision;

class RoomTest : public testing::Test {
 protected:
  Verdict put(const std::string& key, std::size_t bytes) {
    return room_.admit({.writes = {{.key = key, .value = std::string(bytes, 'v')}}}, tree_);
  }
  Verdict erase(const std::string& key) {
    return room_.admit({.writes = {{.key = key, .deletes = true}}}, tree_);
  }
  void hold(const std::string& key, std::size_t bytes) {
    tree_.put(wire::make_update(
        {.key = key, .value = std::string(bytes, 'v'), .revision = Revision(1, 1)}));
  }

  keyspace::Tree tree_;
  Room room_{1'000'000};
};

TEST_F(RoomTest, WhatGrowsBeyondTheLimitIsRefusedAndTheRestTaken) {
  hold("/a", 900'000);
  EXPECT_EQ(put("/new", 200'000), Verdict::full);
  EXPECT_EQ(room_.full(tree_), "full: max_state_bytes is 1000000");
  EXPECT_EQ(put("/a", 900'000), Verdict::fits);
  EXPECT_EQ(put("/a", 10), Verdict::fits);
  EXPECT_EQ(erase("/a"), Verdict::fits);
  EXPECT_TRUE(room_.admit_expiry());
  hold("/a", 10);
  EXPECT_EQ(room_.full(tree_), "");
  EXPECT_EQ(put("/new", 200'000), Verdict::fits);
}

TEST_F(RoomTest, WhatIsProposedCounts) {
  EXPECT_EQ(put("/a", 600'000), Verdict::fits);
  EXPECT_EQ(put("/b", 600'000), Verdict::commit_first) << "admitted";
  room_.proposed(Revision(1, 1));
  EXPECT_EQ(put("/b", 600'000), Verdict::commit_first) << "proposed";
  hold("/a", 600'000);
  room_.committed(Revision(1, 1));
  EXPECT_EQ(put("/b", 600'000), Verdict::full) << "committed";
  EXPECT_EQ(put("/b", 300'000), Verdict::fits);
}

TEST_F(RoomTest, WhatIsWithdrawnOrCameToNothingCountsNoMore) {
  EXPECT_EQ(put("/a", 600'000), Verdict::fits);
  room_.proposed(Revision(1, 1));
  room_.withdrawn();
  EXPECT_EQ(put("/b", 600'000), Verdict::fits);
  room_.proposed(Revision(1, 0));
  room_.committed(Revision(1, 0));
  EXPECT_EQ(put("/c", 600'000), Verdict::fits);
  room_.proposed(Revision(1, 0));
  EXPECT_EQ(put("/d", 600'000), Verdict::fits) << "committed before it was proposed";
}

TEST_F(RoomTest, NothingGrowsWhileTheDiskIsLow) {
  hold("/a", 1000);
  room_.set_low(true);
  EXPECT_EQ(room_.full(tree_), "full: the disk has no room");
  EXPECT_EQ(put("/b", 1), Verdict::full);
  EXPECT_EQ(put("/a", 1001), Verdict::full);
  EXPECT_EQ(put("/a", 1000), Verdict::fits);
  EXPECT_EQ(erase("/a"), Verdict::fits);
  room_.set_low(false);
  EXPECT_EQ(room_.full(tree_), "");
  EXPECT_EQ(put("/b", 1), Verdict::fits);
}

TEST_F(RoomTest, AValueThatNothingCouldHoldDoesNotMakeThePartitionFull) {
  EXPECT_EQ(put("/a", 2'000'000), Verdict::full);
  EXPECT_EQ(room_.full(tree_), "");
}

}  // namespace
}  // namespace canopy::shard
