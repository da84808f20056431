// Named loads: a scenario replaces the options' defaults. Pure.
#pragma once

#include <string>

#include "loadtest/options.h"

namespace canopy::loadtest {

// Sets the scenario's defaults; false when no scenario has this name.
bool set_scenario(const std::string& name, Options& options);
// One line for each scenario.
std::string scenario_help();

}  // namespace canopy::loadtest
