#include "client/cli/ping.h"

#include <gtest/gtest.h>

namespace canopy::client::cli {
namespace {

using namespace std::chrono_literals;

TEST(Ping, PercentilesAreByNearestRank) {
  EXPECT_EQ(latency_line("write", {}), "");
  EXPECT_EQ(latency_line("write", {1500us}),
            "write min/p50/p99/max = 1.500/1.500/1.500/1.500 ms\n");
  std::vector<base::Duration> samples;
  for (int i = 200; i > 0; --i) samples.push_back(std::chrono::milliseconds(i));
  EXPECT_EQ(latency_line("round trip", samples),
            "round trip min/p50/p99/max = 1.000/100.000/198.000/200.000 ms\n");
}

}  // namespace
}  // namespace canopy::client::cli
