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

TEST_F(PlacementTest, SaysWhatCannotBe) {
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

}  // namespace
}  // namespace canopy::broker
