#include "broker/vitals.h"

#include <gtest/gtest.h>

namespace canopy::broker {
namespace {

using std::chrono::seconds;
using wire::Vitals;

class VitalsTest : public ::testing::Test {
 protected:
  void hear(const Vitals& vitals) {
    now_ += seconds(1);
    const auto status = book_.apply({"vitals/" + vitals.name, to_json(vitals), 1}, now_);
    EXPECT_TRUE(status) << status.error();
  }
  const std::optional<Rates>& rates() { return book_.find("p1")->rates; }

  VitalsBook book_;
  base::TimePoint now_{seconds(1000)};
};

TEST_F(VitalsTest, RatesAreByTheClockOfTheProcess) {
  hear({.name = "p1", .drops = 5, .uptime_ms = 1000, .updates = 100, .deliveries = 1000});
  EXPECT_FALSE(rates());
  hear({.name = "p1",
        .drops = 9,
        .uptime_ms = 3000,
        .updates = 150,
        .deliveries = 11'000,
        .delivered_bytes = 4000});
  ASSERT_TRUE(rates());
  EXPECT_DOUBLE_EQ(rates()->updates, 25);
  EXPECT_DOUBLE_EQ(rates()->deliveries, 5000);
  EXPECT_DOUBLE_EQ(rates()->delivered_bytes, 2000);
  EXPECT_DOUBLE_EQ(rates()->drops, 2);
  EXPECT_EQ(book_.find("p1")->heard, now_);
}

TEST_F(VitalsTest, ARestartedProcessBeginsAnew) {
  hear({.name = "p1", .uptime_ms = 5000, .updates = 100});
  hear({.name = "p1", .uptime_ms = 1000, .updates = 3});
  EXPECT_FALSE(rates());
  hear({.name = "p1", .uptime_ms = 2000, .updates = 5});
  ASSERT_TRUE(rates());
  EXPECT_DOUBLE_EQ(rates()->updates, 2);
}

TEST_F(VitalsTest, AProcessWithoutUptimeHasNoRates) {
  hear({.name = "p1", .updates = 1});
  hear({.name = "p1", .updates = 100});
  EXPECT_FALSE(rates());
}

TEST_F(VitalsTest, AMemberThatHasGoneIsForgotten) {
  hear({.name = "p1", .uptime_ms = 1000});
  EXPECT_TRUE(book_.apply({"vitals/p1", std::nullopt, 2}, now_));
  EXPECT_EQ(book_.find("p1"), nullptr);
}

TEST_F(VitalsTest, MalformedVitalsCountAsAbsent) {
  hear({.name = "p1", .uptime_ms = 1000});
  EXPECT_EQ(book_.apply({"vitals/p1", "{", 2}, now_).error(), "vitals/p1: not JSON");
  EXPECT_EQ(book_.find("p1"), nullptr);
  EXPECT_EQ(book_.apply({"vitals/p1", R"({"name":"p2"})", 3}, now_).error(),
            "vitals/p1: 'name' is p2");
  EXPECT_TRUE(book_.apply({"proxies/p1", "{", 4}, now_)) << "those of other keys pass";
}

}  // namespace
}  // namespace canopy::broker
