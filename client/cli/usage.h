// The tables of commands and options, and the help text made from them. Pure;
// Boost.Program_options.
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "client/cli/command_line.h"

namespace canopy::client::cli {

struct Usage {
  Action action;
  std::string name;
  std::vector<std::string> arguments;
  std::vector<std::string> options;
  std::string summary;
  std::string details;
  bool connects = true;  // it accepts --broker, --timeout, --key and --server-key
};
extern const std::vector<Usage> usages;

struct Option {
  std::string name;
  std::string placeholder;  // of its value; empty: a flag
  std::string help;
  std::string short_name{};  // one character, or empty
};
extern const std::vector<Option> options;

// The options of these names.
boost::program_options::options_description describe(const char* title,
                                                     const std::vector<std::string>& names);
// Names of all options that the command accepts.
std::vector<std::string> options_of(const Usage& usage);

std::string help_text();
std::string help_text(const Usage& usage);

}  // namespace canopy::client::cli
