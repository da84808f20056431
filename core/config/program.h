// The command line that every program shares: --config FILE --name NAME, --check-config,
// --version, --help, --state-dir, --log-level, --log-format. Flags override the environment
// (CANOPY_CONFIG, CANOPY_NAME, CANOPY_STATE_DIR, CANOPY_LOG_LEVEL, CANOPY_LOG_FORMAT), which
// overrides the file. A %h in the name stands for the host's name. --health asks a running process.
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
  bool health = false;       // only check the running process of this name, and exit
  std::string restore = {};  // of a shard: restore this backup, and exit; empty: none
  base::FileRead read = {};  // by the last reload(); empty before the first one
};

// What main() does next: run with Start, or exit with this code; everything is already printed.
using CommandLine = std::variant<Start, int>;

// Exit codes: 0 for --help, --version and a good --check-config; 2 for a wrong command line or
// configuration, with one line on stderr.
CommandLine parse_command_line(Role role, int argc, char** argv);

// Reads the file of `running` again, under the same overrides, and applies it. An invalid file
// changes nothing. `permit` gets the clients of `security` first, so that a revocation does not
// wait for the rest of the file. The rest is applied as a whole, or not at all if it needs a
// restart or `take_on` returns an error. Returns the changed settings. Logs the outcome and stores
// it in `running.read`.
base::Result<std::vector<std::string>> reload(
    Start& running, const std::function<void(const Security& wanted)>& permit,
    const std::function<base::Status(const Cluster& wanted)>& take_on);

}  // namespace canopy::config
