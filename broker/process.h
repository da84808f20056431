// Starting a process of this machine.
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
  std::uint64_t nofile = 0;            // RLIMIT_NOFILE, soft and hard; 0 leaves it alone
};

// The shards of the file, then its proxies, to be run from the executables in `directory`.
std::vector<Program> programs_of(const config::Cluster& cluster, const std::string& directory);

// The folder of this process's own executable.
std::string own_directory();

// Starts `program` in a process group of its own (a Ctrl-C on the terminal reaches only the
// supervisor, which then stops its children in order), with nothing open but its output. It gets
// TERM when the calling thread's process dies. Call from the main thread.
base::Result<pid_t> spawn(const Program& program);

}  // namespace canopy::broker
