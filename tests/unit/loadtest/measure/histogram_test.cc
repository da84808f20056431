#include "loadtest/measure/histogram.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace canopy::measure {
namespace {

constexpr double resolution = 0.02;

TEST(Histogram, NothingRecordedIsAllZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.percentile(0.5), 0);
  EXPECT_EQ(histogram.summary().max, 0);
}

TEST(Histogram, OneValueIsEveryPercentile) {
  Histogram histogram;
  histogram.record(1500);
  const auto summary = histogram.summary();
  for (const double ms : {summary.avg, summary.min, summary.p50, summary.p99, summary.max}) {
    EXPECT_DOUBLE_EQ(ms, 1.5);
  }
}

TEST(Histogram, PercentilesOfARamp) {
  Histogram histogram;
  for (int us = 1; us <= 100'000; ++us) histogram.record(us);
  EXPECT_NEAR(histogram.percentile(0.50), 50, 50 * resolution);
  EXPECT_NEAR(histogram.percentile(0.95), 95, 95 * resolution);
  EXPECT_NEAR(histogram.percentile(0.99), 99, 99 * resolution);
  EXPECT_DOUBLE_EQ(histogram.percentile(0), 0.001);
  EXPECT_DOUBLE_EQ(histogram.percentile(1), 100);
  EXPECT_DOUBLE_EQ(histogram.summary().avg, 50.0005);
}

TEST(Histogram, ValuesBeyondTheScaleAreKept) {
  Histogram histogram;
  histogram.record(-5);
  histogram.record(0);
  histogram.record(5'000'000'000);
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.summary().min, 0);
  EXPECT_EQ(histogram.summary().max, 5'000'000);
  EXPECT_EQ(histogram.percentile(0.5), 0);
  EXPECT_EQ(histogram.percentile(1), 5'000'000);
}

TEST(Histogram, MergingIsTheSameAsRecordingTogether) {
  Histogram low, high, together;
  for (int us = 1; us <= 1000; ++us) {
    low.record(us);
    high.record(us * 1000);
    together.record(us);
    together.record(us * 1000);
  }
  low.merge(high);
  low.merge(Histogram());
  EXPECT_EQ(low.to_json(), together.to_json());

  Histogram empty;
  empty.merge(high);
  EXPECT_EQ(empty.to_json(), high.to_json());
}

TEST(Histogram, SurvivesJson) {
  Histogram histogram;
  for (int us = 0; us < 5000; us += 7) histogram.record(us);
  EXPECT_EQ(Histogram::from_json(histogram.to_json()).to_json(), histogram.to_json());
}

}  // namespace
}  // namespace canopy::measure
