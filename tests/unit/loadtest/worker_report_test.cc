#include "loadtest/worker_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace canopy::loadtest {
namespace {

using testing::ElementsAre;

WorkerReport one() {
  WorkerReport report{.sent = 1,
                      .blocked_sends = 2,
                      .delivered = 3,
                      .window_s = 4,
                      .window_sent = 5,
                      .window_delivered = 6,
                      .joins = 7,
                      .rejoins = 8,
                      .converged = 9,
                      .losing = 15,
                      .all_joined_us = 16};
  report.faults = {
      .lost = 10, .lost_at_join = 11, .repeated = 12, .out_of_order = 13, .corrupted = 14};
  report.faults.incomplete = 17;
  report.faults.unfiltered = 18;
  report.faults.misapplied = 19;
  std::uint64_t next = 20;
  for (const auto& [name, count] : stat_names) report.stats.*count = next++;
  report.latency.record(100);
  report.join.record(200);
  report.write.record(300);
  report.receivers = {0, 2};
  report.senders = {0, 1};
  return report;
}

TEST(WorkerReport, SurvivesJson) {
  const auto parsed = parse_worker_report(to_json(one()));
  EXPECT_EQ(to_json(parsed), to_json(one()));
  EXPECT_EQ(parsed.faults, one().faults);
  EXPECT_EQ(parsed.stats.refused, one().stats.refused);
}

TEST(WorkerReport, MergesIntoOneReport) {
  auto merged = one();
  auto other = one();
  other.window_s = 3;
  other.receivers = {1, 3};
  other.senders = {1, 3};
  merged.merge(other);
  EXPECT_EQ(merged.sent, 2u);
  EXPECT_EQ(merged.window_s, 4);
  EXPECT_EQ(merged.all_joined_us, 16);
  EXPECT_EQ(merged.faults.corrupted, 28u);
  EXPECT_EQ(merged.stats.gaps, 40u);
  EXPECT_EQ(merged.write.count(), 2u);
  EXPECT_EQ(merged.latency.count(), 2u);
  EXPECT_THAT(merged.receivers, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(merged.senders, ElementsAre(0, 1, 3));
}

TEST(WorkerReport, ServedMeansReceivingAndReceived) {
  WorkerReport report;
  report.receivers = {0, 1, 2};
  report.senders = {0, 3};
  // 1 has sent nothing; no client received from 2; 3 receives nothing.
  EXPECT_EQ(count_served(report, {4, 0, 4, 4}), 2u);
  EXPECT_EQ(count_served(report, {4, 0}), 3u);  // 2 does not publish
}

}  // namespace
}  // namespace canopy::loadtest
