#include "shard/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::shard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ShardMetrics, HaveReplicaSeriesWhileTheShardLeads) {
  Metrics metrics("s1");
  PartitionMetrics partition(metrics, "");
  const std::string in_sync = "canopy_in_sync_replicas{";
  const std::string lag = "canopy_replica_lag_updates{";
  EXPECT_THAT(metrics.registry.expose(), AllOf(Not(HasSubstr(in_sync)), Not(HasSubstr(lag))));

  partition.set_replicas(2, {{"s2", 0}, {"s3", 7}});
  EXPECT_THAT(metrics.registry.expose(),
              AllOf(HasSubstr(in_sync + "partition=\"*\"} 2\n"),
                    HasSubstr(lag + "follower=\"s2\",partition=\"*\"} 0\n"),
                    HasSubstr(lag + "follower=\"s3\",partition=\"*\"} 7\n")));

  partition.set_replicas(1, {{"s3", 9}});
  EXPECT_THAT(metrics.registry.expose(),
              AllOf(HasSubstr(in_sync + "partition=\"*\"} 1\n"), Not(HasSubstr("\"s2\"")),
                    HasSubstr(lag + "follower=\"s3\",partition=\"*\"} 9\n")));

  partition.set_replicas(0, {});
  EXPECT_THAT(metrics.registry.expose(), AllOf(Not(HasSubstr(in_sync)), Not(HasSubstr(lag))));
}

}  // namespace
}  // namespace canopy::shard
