#include "loadtest/schedule.h"

#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

constexpr std::int64_t start = 1'000'000;

TEST(Schedule, JoinsAtTheRateOfTheRamp) {
  const Schedule schedule(Options{.rate = 100}, 10, start);
  EXPECT_EQ(schedule.join_at(0), start);
  EXPECT_EQ(schedule.join_at(5), start + 50'000);
}

TEST(Schedule, SpreadsThePublishersEvenlyOverThePeriod) {
  const Schedule schedule(Options{.period_ms = 1000}, 10, start);
  EXPECT_EQ(schedule.next_publish(0, 0), start);
  EXPECT_EQ(schedule.next_publish(3, 0), start + 300'000);
  EXPECT_EQ(schedule.next_publish(3, start + 300'000), start + 1'300'000);
  EXPECT_EQ(schedule.next_publish(3, start + 299'999), start + 300'000);
}

TEST(Schedule, TogetherMeansTheSameInstant) {
  const Schedule schedule(Options{.period_ms = 1000, .phase = Phase::together}, 10, start);
  for (std::uint32_t client = 0; client < 10; ++client) {
    EXPECT_EQ(schedule.next_publish(client, start + 1), start + 1'000'000);
  }
}

TEST(Schedule, ALateClientSkipsTheSlotsItMissed) {
  const Schedule schedule(Options{.period_ms = 1000}, 10, start);
  EXPECT_EQ(schedule.next_publish(1, start + 5'500'000), start + 6'100'000);
}

}  // namespace
}  // namespace canopy::loadtest
