// The commands that read or write entries with one call: put, delete, get, list, export, apply.
#pragma once

#include "client/cli/command_line.h"

namespace canopy::client::cli {

Exit write(const Command& command);
Exit get(const Command& command);
Exit list(const Command& command);
// The lines of standard input as one request.
Exit apply(const Command& command);

}  // namespace canopy::client::cli
