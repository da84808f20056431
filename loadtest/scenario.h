// Loads that have a name: what a named scenario says instead of the options' own defaults. Pure.
#pragma once

#include <string>

#include "loadtest/options.h"

namespace canopy::loadtest {

// Sets the defaults of the scenario; false when there is none of this name.
bool set_scenario(const std::string& name, Options& options);
// A line for each.
std::string scenario_help();

}  // namespace canopy::loadtest
