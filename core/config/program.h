// The command line that every program shares: --config FILE --name NAME, --check-config,
// --version, --help, --state-dir, --log-level, --log-format. Flags over environment (CANOPY_CONFIG,
// CANOPY_NAME, CANOPY_STATE_DIR, CANOPY_LOG_LEVEL, CANOPY_LOG_FORMAT) over file.
// Boost.Program_options.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "core/config/cluster.h"

namespace canopy::config {

enum class Role { broker, shard, proxy };

struct Start {
  Cluster cluster;   // overrides applied, logging not yet configured
  std::string name;  // this process; names an entry of the file
};

// What main() does next: run with Start, or exit with this code, everything already printed.
using CommandLine = std::variant<Start, int>;

// Exit codes: 0 for --help, --version and a good --check-config; 2 for a wrong command line or
// configuration, with one line on stderr.
CommandLine parse_command_line(Role role, int argc, char** argv);

}  // namespace canopy::config
