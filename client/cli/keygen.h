// `canopy keygen`: makes a pair of keys.
#pragma once

#include "client/cli/command_line.h"

namespace canopy::client::cli {

// Writes both files, and prints what each is for.
Exit keygen(const Command& command);

}  // namespace canopy::client::cli
