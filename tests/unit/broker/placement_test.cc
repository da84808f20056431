#include "broker/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PlacementTest : public ::testing::Test {
 protected:
  PlacementTest() {
    for (const char* name : {"s1", "s2", "s3"}) cluster_.shards.push_back({.name = name});
    cluster_.partitions = {{.subtree = "/a/", .on = {"s1", "s2"}, .min_in_sync = 2},
                           {.subtree = "", .on = {"s1"}}};
    members_.records["/a/"] = {
        .epoch = 4, .lineage = 9, .leader = {"s1", "x"}, .in_sync = {{"s1", "x"}}};
  }
  std::string why_not(const std::string& partition, const std::vector<std::string>& shards) {
    const auto record = placed_on(cluster_, members_, partition, shards);
    return record ? "" : record.error();
  }

  config::Cluster cluster_;
  Members members_;
};

TEST_F(PlacementTest, OnlyThePlacementOfTheRecordChanges) {
  const auto record = placed_on(cluster_, members_, "/a/", {"s3", "s2"});
  ASSERT_TRUE(record) << record.error();
  cluster::PartitionRecord expected = members_.records["/a/"];
  expected.placement = {"s3", "s2"};
  EXPECT_EQ(*record, expected);
}

TEST_F(PlacementTest, RefusesImpossibleOrders) {
  EXPECT_THAT(why_not("/b/", {"s1", "s2"}), HasSubstr("no partition is called /b/"));
  EXPECT_THAT(why_not("/a/", {"s1", "s9"}), HasSubstr("no shard is called s9"));
  EXPECT_THAT(why_not("/a/", {"s1", "s1"}), HasSubstr("twice"));
  EXPECT_THAT(why_not("/a/", {"s1"}), HasSubstr("/a/ needs 2 to 7 shards"));
  EXPECT_THAT(why_not("", {}), HasSubstr("* needs 1 to 7 shards"));
  EXPECT_THAT(why_not("", {"s2"}), HasSubstr("no shard has led * yet"));
}

TEST_F(PlacementTest, AShardMissesWhatItsRecordsPlaceThere) {
  const auto missed = [this](const char* shard) {
    std::vector<std::string> subtrees;
    for (const auto& each : with_placed(cluster_, members_, {.name = shard}).partitions) {
      EXPECT_EQ(each.state, "down");
      subtrees.push_back(each.subtree);
    }
    return subtrees;
  };
  EXPECT_THAT(missed("s1"), ElementsAre("/a/", ""));
  EXPECT_THAT(missed("s3"), ElementsAre());
  members_.records["/a/"].placement = {"s3", "s2"};
  EXPECT_THAT(missed("s1"), ElementsAre(""));
  EXPECT_THAT(missed("s2"), ElementsAre("/a/"));
  EXPECT_THAT(missed("s3"), ElementsAre("/a/"));
}

class SplitOrderTest : public PlacementTest {
 protected:
  std::string why_not(const std::string& subtree) {
    const auto order = split_of(cluster_, members_, subtree);
    return order ? "" : order.error();
  }
};

TEST_F(SplitOrderTest, IsInTheRecordOfThePartitionAround) {
  const auto order = split_of(cluster_, members_, "/a/b/");
  ASSERT_TRUE(order) << order.error();
  EXPECT_EQ(order->partition, "/a/");
  cluster::PartitionRecord expected = members_.records["/a/"];
  expected.splits = {"/a/b/"};
  EXPECT_EQ(order->record, expected);
}

TEST_F(SplitOrderTest, RefusesImpossibleOrders) {
  EXPECT_THAT(why_not("/a/"), HasSubstr("/a/ is a partition"));
  EXPECT_THAT(why_not("/b/"), HasSubstr("no shard has led * yet"));
  EXPECT_THAT(why_not("/a/\xff/"), HasSubstr("UTF-8"));
  members_.records["/a/"].splits = {"/a/b/"};
  for (const char* subtree : {"/a/b/", "/a/b/c/"}) {
    EXPECT_THAT(why_not(subtree), HasSubstr("the split of /a/b/ is not finished"));
  }
  EXPECT_EQ(why_not("/a/c/"), "");
  cluster_.partitions.pop_back();
  EXPECT_THAT(why_not("/x/"), HasSubstr("no partition is around /x/"));
}

TEST_F(SplitOrderTest, WhatWasSplitOffIsAPartitionLikeTheOneAround) {
  members_.records["/a/b/"] = {.epoch = 5,
                               .lineage = 3,
                               .leader = {"s2", "y"},
                               .in_sync = {{"s2", "y"}},
                               .placement = {"s2"},
                               .parent = "/a/"};
  members_.records["/a/old/"] = members_.records["/a/"];  // of an earlier file
  const auto partitions = partitions_of(cluster_, members_);
  ASSERT_EQ(partitions.size(), 3u);
  EXPECT_EQ(partitions[2].subtree, "/a/b/");
  EXPECT_THAT(partitions[2].on, ElementsAre("s2"));
  EXPECT_EQ(partitions[2].min_in_sync, 2u);
  EXPECT_THAT(why_not("/a/b/"), HasSubstr("is a partition"));
  const auto order = split_of(cluster_, members_, "/a/b/c/");
  ASSERT_TRUE(order) << order.error();
  EXPECT_EQ(order->partition, "/a/b/");
  EXPECT_TRUE(placed_on(cluster_, members_, "/a/b/", {"s1", "s3"}));
  const auto statuses = partition_statuses(cluster_, members_);
  EXPECT_TRUE(statuses.contains("/a/b/"));
  EXPECT_FALSE(statuses.contains("/a/old/"));
}

}  // namespace
}  // namespace canopy::broker
