#include "shard/room.h"

#include <gtest/gtest.h>

#include "core/wire/entry.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using wire::Fault;

class RoomTest : public testing::Test {
 protected:
  Fault put(const std::string& key, std::size_t bytes, Revision last = Revision(1, 1)) {
    return room_.admit({.writes = {{.key = key, .value = std::string(bytes, 'v')}}}, tree_, last);
  }
  Fault erase(const std::string& key) {
    return room_.admit({.writes = {{.key = key, .deletes = true}}}, tree_, Revision(1, 1));
  }
  void hold(const std::string& key, std::size_t bytes) {
    tree_.put(wire::make_update(
        {.key = key, .value = std::string(bytes, 'v'), .revision = Revision(1, 1)}));
  }

  keyspace::Tree tree_;
  Room room_{1'000'000};
};

TEST_F(RoomTest, RefusesOnlyGrowthBeyondTheLimit) {
  hold("/a", 900'000);
  EXPECT_EQ(put("/new", 200'000), Fault::full);
  EXPECT_EQ(room_.full(tree_), "max_state_bytes is 1000000");
  EXPECT_EQ(put("/a", 900'000), Fault::none);
  EXPECT_EQ(put("/a", 10), Fault::none);
  EXPECT_EQ(erase("/a"), Fault::none);
  hold("/a", 10);
  EXPECT_EQ(room_.full(tree_), "");
  EXPECT_EQ(put("/new", 200'000), Fault::none);
}

TEST_F(RoomTest, UncommittedGrowthCounts) {
  EXPECT_EQ(put("/a", 600'000, Revision(1, 1)), Fault::none);
  EXPECT_EQ(put("/b", 600'000, Revision(1, 2)), Fault::busy) << "it may yet fit";
  hold("/a", 600'000);
  room_.committed(Revision(1, 1));
  EXPECT_EQ(put("/b", 600'000, Revision(1, 2)), Fault::full);
  EXPECT_EQ(put("/b", 300'000, Revision(1, 2)), Fault::none);
}

TEST_F(RoomTest, NothingGrowsWhileTheDiskIsLow) {
  hold("/a", 1000);
  room_.set_low("no room");
  EXPECT_EQ(room_.full(tree_), "no room");
  EXPECT_EQ(put("/b", 1), Fault::full);
  EXPECT_EQ(put("/a", 1001), Fault::full);
  EXPECT_EQ(put("/a", 1000), Fault::none);
  EXPECT_EQ(erase("/a"), Fault::none);
  room_.set_low("");
  EXPECT_EQ(room_.full(tree_), "");
  EXPECT_EQ(put("/b", 1), Fault::none);
}

TEST_F(RoomTest, ATooLargeValueDoesNotMakeThePartitionFull) {
  EXPECT_EQ(put("/a", 2'000'000), Fault::full);
  EXPECT_EQ(room_.full(tree_), "");
}

}  // namespace
}  // namespace canopy::shard
