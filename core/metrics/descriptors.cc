#include "core/metrics/descriptors.h"

#include <dirent.h>
#include <sys/resource.h>

#include <cerrno>
#include <limits>
#include <memory>

namespace canopy::metrics {

std::uint64_t max_fds() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<std::uint64_t>::max()
                                         : limit.rlim_cur;
}

bool raise_max_fds(std::uint64_t wanted) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted) return true;
  if (limit.rlim_max < wanted) return false;
  limit.rlim_cur = wanted;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

std::uint64_t open_fds() {
  const auto close_folder = [](DIR* folder) { ::closedir(folder); };
  const std::unique_ptr<DIR, decltype(close_folder)> folder(::opendir("/proc/self/fd"),
                                                            close_folder);
  if (!folder) return errno == EMFILE ? max_fds() : 0;
  std::uint64_t entries = 0;
  while (::readdir(folder.get()) != nullptr) ++entries;
  return entries - 3;  // ".", ".." and the folder itself
}

}  // namespace canopy::metrics
