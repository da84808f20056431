#include "broker/backoff.h"

#include <gtest/gtest.h>

namespace canopy::broker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(BackoffTest, AProcessThatEndsEarlyWaitsLongerEachTime) {
  Backoff backoff;
  for (const int expected : {100, 200, 400, 800, 1600, 3200, 6400, 10'000, 10'000}) {
    EXPECT_EQ(backoff.next(milliseconds(10)), milliseconds(expected));
  }
}

TEST(BackoffTest, AProcessThatRanLongRestartsAtOnce) {
  Backoff backoff;
  EXPECT_EQ(backoff.next(Backoff::healthy), milliseconds(0));
  EXPECT_EQ(backoff.next(milliseconds(999)), milliseconds(100));
  EXPECT_EQ(backoff.next(milliseconds(0)), milliseconds(200));
  EXPECT_EQ(backoff.next(seconds(60)), milliseconds(0));
  EXPECT_EQ(backoff.next(milliseconds(0)), milliseconds(100));
}

}  // namespace
}  // namespace canopy::broker
