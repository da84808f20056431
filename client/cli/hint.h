// Hints for a key or subtree that is probably a mistake. Pure.
#pragma once

#include <string>

#include "client/cli/command_line.h"

namespace canopy::client::cli {

// For a write, or for a read that found nothing: one line without its line feed. Empty: the subject
// looks right.
std::string hint_for(const Command& command);

// The subtree or key that must have entries for the hint to be printed. Empty: it is printed in any
// case. Among reads, only a get has such a condition.
std::string condition_of_hint(const Command& command);

}  // namespace canopy::client::cli
