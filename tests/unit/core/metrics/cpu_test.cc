#include "core/metrics/cpu.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

namespace canopy::metrics {
namespace {

using namespace std::chrono_literals;

// Threads that it starts afterwards inherit this.
void stay_on_one_core() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
}

TEST(CpuTime, TellsWhatTheThreadRanAndWaited) {
  if (!std::filesystem::exists("/proc/self/schedstat")) {
    GTEST_SKIP() << "this kernel does not tell how long threads wait";
  }
  CpuTime before;
  CpuTime after;
  // Other processes on that core add to the waiting alone, so neither figure bounds the other.
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  const auto seen = [&] {
    return after.waited - before.waited >= 20ms && after.ran - before.ran >= 10ms;
  };
  std::atomic<bool> done = false;
  std::thread busy;
  std::thread watching([&] {
    stay_on_one_core();
    before = after = cpu_time();
    busy = std::thread([&] {
      while (!done) {
      }
    });
    while (!seen() && std::chrono::steady_clock::now() < deadline) after = cpu_time();
    done = true;
    busy.join();
  });
  watching.join();
  EXPECT_GE(after.waited - before.waited, 20ms) << "two threads, one core";
  EXPECT_GE(after.ran - before.ran, 10ms) << "it runs while the other thread waits";
}

}  // namespace
}  // namespace canopy::metrics
