#include "broker/election.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::broker {
namespace {

using ::testing::HasSubstr;

TEST(Election, AcceptsOnlyAWaitingReplica) {
  Members members;
  members.shards["s1"].partitions = {{.subtree = "/a/", .state = "waiting: every replica is away"},
                                     {.subtree = "/b/", .state = "following s2"},
                                     {.subtree = "", .state = "waiting: for s2"}};
  EXPECT_EQ(why_not_elected(members, "/a/", "s1"), "");
  EXPECT_EQ(why_not_elected(members, "", "s1"), "");
  EXPECT_THAT(why_not_elected(members, "/b/", "s1"), HasSubstr("following s2"));
  EXPECT_THAT(why_not_elected(members, "/c/", "s1"), HasSubstr("no replica of a partition /c/"));
  EXPECT_THAT(why_not_elected(members, "/a/", "s2"), HasSubstr("no running shard is called s2"));
}

}  // namespace
}  // namespace canopy::broker
