// Starts processes on this machine. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/cluster.h"

namespace canopy::broker {

struct Program {
  std::string role{};  // "shard" or "proxy"
  std::string name{};
  std::vector<std::string> command{};  // the executable's path, then its arguments
  std::uint64_t nofile = 0;            // RLIMIT_NOFILE, soft and hard; 0: unchanged
};

// The programs of the file: shards, then proxies. `directory` holds the executables.
std::vector<Program> programs_of(const config::Cluster& cluster, const std::string& directory);

// The directory of this process's own executable.
std::string own_directory();

// Starts `program` in its own process group: a Ctrl-C on the terminal reaches only the supervisor,
// which then stops its children in order. The child inherits no descriptors except its output. The
// kernel sends it TERM when this process dies. Call it from the main thread.
base::Result<pid_t> spawn(const Program& program);

}  // namespace canopy::broker
