// The command line that every program shares: --config FILE --name NAME, --check-config,
// --version, --help, --state-dir, --log-level, --log-format. Flags over environment (CANOPY_CONFIG,
// CANOPY_NAME, CANOPY_STATE_DIR, CANOPY_LOG_LEVEL, CANOPY_LOG_FORMAT) over file. A %h in the name
// stands for the host's; --health asks a running process instead of becoming one.
// Boost.Program_options.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/file_read.h"
#include "core/config/cluster.h"

namespace canopy::config {

enum class Role { broker, shard, proxy };

struct Start {
  Cluster cluster;   // overrides applied, logging not yet configured
  std::string name;  // this process; names an entry of the file
  struct Override {
    std::string key = {};
    std::string value = {};
    std::string source = {};  // the flag or variable
  };
  std::vector<Override> overrides = {};
  bool health = false;       // only tell how the process of this name is, and exit
  std::string restore = {};  // a shard: the backup that becomes its store, and exit; empty: none
  base::FileRead read = {};  // by the last reload(); before the first one only the cluster says
};

// What main() does next: run with Start, or exit with this code, everything already printed.
using CommandLine = std::variant<Start, int>;

// Exit codes: 0 for --help, --version and a good --check-config; 2 for a wrong command line or
// configuration, with one line on stderr.
CommandLine parse_command_line(Role role, int argc, char** argv);

// Makes `running` what its file says by now, under the same overrides. Nothing is changed when the
// file is not as it should be. `permit` gets the clients of `security` first: a revocation does not
// wait for the rest of the file. The rest is changed as a whole, or not at all when it asks for
// what takes a restart, or `take_on` says why not. Returns the settings that were changed. Logs
// what became of it, and leaves it in `running.read`.
base::Result<std::vector<std::string>> reload(
    Start& running, const std::function<void(const Security& wanted)>& permit,
    const std::function<base::Status(const Cluster& wanted)>& take_on);

}  // namespace canopy::config
