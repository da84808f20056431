#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "proxy/compression.h"
#include "proxy/flush_pacer.h"
#include "proxy/room.h"

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
constexpr base::TimePoint start{1h};

TEST(FlushPacer, SendsAtOnceAfterAPauseAndElseOncePerInterval) {
  FlushPacer pacer(20ms, 0.1);
  EXPECT_EQ(pacer.wait(start, 1), 0ms);
  pacer.flushed(start);
  EXPECT_EQ(pacer.wait(start, 1), 0ms) << "nothing is known of the cost yet";
  pacer.flushed(start);
  pacer.measure({.ran = 2ms});  // a flush cost 1 ms: a tenth of a core affords one every 10 ms
  EXPECT_EQ(pacer.interval(), 10ms);
  EXPECT_EQ(pacer.wait(start + 4ms, 1), 10ms) << "it begins with the first that waits";
  EXPECT_EQ(pacer.wait(start + 11ms, 1), 3ms) << "later updates leave with it";
  EXPECT_EQ(pacer.wait(start + 15ms, 1), 0ms);
  pacer.flushed(start + 15ms);
  EXPECT_EQ(pacer.wait(start + 24ms, 1), 10ms);
  pacer.flushed(start + 34ms);
  EXPECT_EQ(pacer.wait(start + 44ms, 1), 0ms) << "nothing came for an interval";
}

TEST(FlushPacer, LetsLargeBatchesGoSooner) {
  FlushPacer pacer(20ms, 0.1);
  pacer.flushed(start);
  pacer.measure({.ran = 1ms});
  ASSERT_EQ(pacer.interval(), 10ms);
  EXPECT_EQ(pacer.wait(start + 4ms, 1), 10ms);
  EXPECT_EQ(pacer.wait(start + 5ms, FlushPacer::flush_early_updates - 1), 9ms);
  EXPECT_EQ(pacer.wait(start + 5ms, FlushPacer::flush_early_updates), 5ms);
  EXPECT_EQ(pacer.wait(start + 5ms, FlushPacer::flush_now_updates), 0ms);
}

TEST(FlushPacer, FollowsTheCostWithinItsBounds) {
  FlushPacer pacer(20ms, 0.1);
  base::Duration cpu{};
  const auto flush_at_cost = [&](base::Duration cost) {
    pacer.flushed(start);
    pacer.measure({.ran = cpu += cost});
  };
  flush_at_cost(3ms);
  EXPECT_EQ(pacer.interval(), 17ms)
      << "30 ms would be more than latency allows, as would 20 and a flush";
  for (int i = 0; i < 50; ++i) flush_at_cost(10ms);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 10'000 / FlushPacer::max_share, 100)
      << "beyond max_share of a core every update would wait for the CPU";
  for (int i = 0; i < 50; ++i) flush_at_cost(30ms);
  EXPECT_EQ(pacer.interval(), 60ms) << "three times the bound";
  for (int i = 0; i < 50; ++i) flush_at_cost(90ms);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 90'000, 100)
      << "one flush after another";
  for (int i = 0; i < 50; ++i) flush_at_cost(100us);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 1000, 10);
  const auto settled = pacer.interval();
  pacer.measure({.ran = cpu += 1s});  // work without a flush does not count
  EXPECT_EQ(pacer.interval(), settled);
  flush_at_cost(100us);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 1000, 10);
}

TEST(FlushPacer, CountsTheWaitForACoreWhereItIsLonger) {
  FlushPacer pacer(20ms, 0.1);
  pacer.flushed(start);
  pacer.measure({.ran = 500us, .waited = 100us});
  EXPECT_EQ(pacer.interval(), 5ms);
  for (int i = 1; i <= 50; ++i) {
    pacer.flushed(start);
    pacer.measure({.ran = 500us + i * 500us, .waited = 100us + i * 1ms});
  }
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 10'000, 100);
  const auto settled = pacer.interval();
  pacer.flushed(start);
  pacer.measure({.ran = 26ms + 500us, .waited = {}});  // the waiting time of its threads is unknown
  pacer.flushed(start);
  pacer.measure({.ran = 27ms + 500us, .waited = 50ms + 200us});
  EXPECT_LE(pacer.interval(), settled) << "what was waited before is not waited again";
}

TEST(FlushPacer, OtherWorkIsNoCostOfAFlush) {
  FlushPacer pacer(20ms, 0.1);
  base::Duration other{};
  for (int i = 1; i <= 50; ++i) {
    pacer.flushed(start);
    other += 199ms;
    pacer.measure({.ran = i * 200ms, .waited = i * 100ms}, other);
  }
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 10'000, 100)
      << "a flush cost 1 ms, and waited half of that";
}

TEST(FlushPacer, NeverGathersWhereNoLatencyIsAllowed) {
  FlushPacer pacer(0ms, 0.1);
  pacer.flushed(start);
  pacer.measure({.ran = 10ms});
  EXPECT_EQ(pacer.wait(start, 1), 0ms);
}

TEST(Compression, IsTriedNowAndThenAndUsedWhileItPays) {
  Compression compression;
  EXPECT_FALSE(compression.worth_trying(Compression::least_bytes - 1, 1000));
  ASSERT_TRUE(compression.worth_trying(10'000, 1000));
  EXPECT_TRUE(compression.tried(10'000, 2'000, 1000)) << "it saves 80 % for a thousand";
  EXPECT_TRUE(compression.worth_trying(10'000, 1000));
  EXPECT_FALSE(compression.tried(10'000, 2'000, 5)) << "packing costs more than five can save";
  int tries = 0;
  for (unsigned i = 0; i < 10 * Compression::probe_every; ++i) {
    tries += compression.worth_trying(10'000, 5);
  }
  EXPECT_EQ(tries, 10);
}

TEST(Compression, StopsWhereCompressionDoesNotPay) {
  Compression compression;
  EXPECT_TRUE(compression.worth_trying(10'000, 1000));
  EXPECT_FALSE(compression.tried(10'000, 10'050, 1000));
  EXPECT_FALSE(compression.worth_trying(10'000, 1000));
}

TEST(QueueLimit, TheLargestQueuesStopFirstAndTheSumStaysWithinItsBound) {
  constexpr std::size_t own = 1000;
  constexpr std::size_t all = 5000;
  std::vector<std::size_t> queues(20);
  std::size_t queued = 0;
  const auto push = [&](std::size_t queue, std::size_t bytes) {
    if (queues[queue] + bytes > queue_limit(own, all, queued)) return false;
    queues[queue] += bytes;
    queued += bytes;
    return true;
  };
  while (push(0, 10)) {
  }
  EXPECT_EQ(queues[0], own);
  for (bool grows = true; grows;) {
    grows = false;
    for (std::size_t i = 1; i < queues.size(); ++i) grows |= push(i, 10);
  }
  EXPECT_LE(queued, all);
  EXPECT_FALSE(push(0, 1)) << "the largest one stopped";
  EXPECT_GT(*std::ranges::min_element(queues), 150u) << "the others got their share";
  EXPECT_EQ(queue_limit(own, all, all + 1), 0u);
}

}  // namespace
}  // namespace canopy::proxy
