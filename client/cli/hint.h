// What a key or subtree on the command line was probably meant to be. Pure.
#pragma once

#include <string>

#include "client/cli/command_line.h"

namespace canopy::client::cli {

// For a write, or for a read that found nothing: one line without an end. Empty when there is
// nothing odd about the subject.
std::string hint_for(const Command& command);

// The hint is given only if there are keys here: a subtree, or a key. Empty: in any case. Of reads,
// only a get has such a condition.
std::string condition_of_hint(const Command& command);

}  // namespace canopy::client::cli
