#include "core/metrics/cpu.h"

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace canopy::metrics {
namespace {

base::Duration ran_by(clockid_t clock) {
  timespec ran{};
  clock_gettime(clock, &ran);
  return std::chrono::duration_cast<base::Duration>(std::chrono::seconds(ran.tv_sec) +
                                                    std::chrono::nanoseconds(ran.tv_nsec));
}

base::Duration waited() {
  std::chrono::nanoseconds sum{};
  std::error_code failed;  // which ends the list
  std::filesystem::directory_iterator thread("/proc/self/task", failed);
  for (; thread != std::filesystem::directory_iterator(); thread.increment(failed)) {
    std::int64_t ran = 0;
    std::int64_t waited = 0;
    std::ifstream(thread->path() / "schedstat") >> ran >> waited;
    sum += std::chrono::nanoseconds(waited);
  }
  return std::chrono::duration_cast<base::Duration>(sum);
}

}  // namespace

CpuTime cpu_time() { return {.ran = ran_by(CLOCK_PROCESS_CPUTIME_ID), .waited = waited()}; }

base::Duration thread_time() { return ran_by(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace canopy::metrics
