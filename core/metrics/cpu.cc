#include "core/metrics/cpu.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace canopy::metrics {
namespace {

// One descriptor for the life of the thread: opening the file costs more than reading it.
class Schedstat {
 public:
  Schedstat() : fd_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}
  ~Schedstat() {
    if (fd_ >= 0) close(fd_);
  }
  Schedstat(const Schedstat&) = delete;
  Schedstat& operator=(const Schedstat&) = delete;

  base::Duration waited() const {
    std::array<char, 128> text{};
    std::int64_t ran = 0;
    std::int64_t waited = 0;
    if (fd_ < 0 || pread(fd_, text.data(), text.size() - 1, 0) <= 0 ||
        std::sscanf(text.data(), "%ld %ld", &ran, &waited) != 2) {
      return {};
    }
    return std::chrono::duration_cast<base::Duration>(std::chrono::nanoseconds(waited));
  }

 private:
  int fd_;
};

}  // namespace

CpuTime cpu_time() {
  static const thread_local Schedstat schedstat;
  return {.ran = thread_time(), .waited = schedstat.waited()};
}

base::Duration thread_time() {
  timespec ran{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
  return std::chrono::duration_cast<base::Duration>(std::chrono::seconds(ran.tv_sec) +
                                                    std::chrono::nanoseconds(ran.tv_nsec));
}

}  // namespace canopy::metrics
