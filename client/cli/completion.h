// `canopy completion SHELL`: the completion script of a shell, made from the table of commands.
// Pure.
#pragma once

#include <string>

namespace canopy::client::cli {

// Of bash, zsh or fish; empty for any other shell.
std::string completion_script(const std::string& shell);

}  // namespace canopy::client::cli
