// The error message for a refusal by the cluster. Pure.
#pragma once

#include <string>

#include "client/cli/command_line.h"

namespace canopy::client::cli {

// `fault` is the number of a wire::Fault, `text` the cluster's own message.
std::string refusal_text(Action action, unsigned fault, const std::string& text);

}  // namespace canopy::client::cli
