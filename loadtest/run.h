// A whole run: its steps one after another, what is printed, and the exit status.
#pragma once

#include "loadtest/options.h"

namespace canopy::loadtest {

// 0 pass, 1 fail, 2 the run was not possible.
int run(const Options& options);

}  // namespace canopy::loadtest
