// Runs a command.
#pragma once

#include "client/cli/command_line.h"

namespace canopy::client::cli {

// Prints the result on standard output, or one line on standard error that says what failed.
Exit run(Command command);

}  // namespace canopy::client::cli
