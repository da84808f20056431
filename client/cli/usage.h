// What each command takes, and its help. Pure; Boost.Program_options.
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
  bool connects = true;  // to a cluster
};
extern const std::vector<Usage> usages;

// Those options that are named.
boost::program_options::options_description describe(const char* title,
                                                     const std::vector<std::string>& names);
// All that the command takes, by name.
std::vector<std::string> options_of(const Usage& usage);

std::string help_text();
std::string help_text(const Usage& usage);

}  // namespace canopy::client::cli
