#include "loadtest/measure/descriptor_limit.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace canopy::measure {

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? limit.rlim_max : limit.rlim_cur;
}

base::Status set_descriptor_limit(std::uint64_t soft) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = soft;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  return base::Error{"cannot limit descriptors to " + std::to_string(soft) + ": " +
                     std::strerror(errno)};
}

}  // namespace canopy::measure
