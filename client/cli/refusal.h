// Why the cluster refuses what a command asks, in the words of the command line. Pure.
#pragma once

#include <string>

#include "client/cli/command_line.h"

namespace canopy::client::cli {

// `fault` and `text` as the cluster gives them.
std::string refusal_text(Action action, unsigned fault, const std::string& text);

}  // namespace canopy::client::cli
