// A whole run: its steps in sequence, its output, and the exit status. Runs on the main thread.
#pragma once

#include "loadtest/options.h"

namespace canopy::loadtest {

// Returns the exit status: 0 pass, 1 fail, 2 the run could not start.
int run(const Options& options);

}  // namespace canopy::loadtest
