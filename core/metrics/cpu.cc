#include "core/metrics/cpu.h"

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace canopy::metrics {
namespace {

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

CpuTime cpu_time() {
  timespec ran{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ran);
  return {.ran = std::chrono::duration_cast<base::Duration>(std::chrono::seconds(ran.tv_sec) +
                                                            std::chrono::nanoseconds(ran.tv_nsec)),
          .waited = waited()};
}

}  // namespace canopy::metrics
