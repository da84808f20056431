// How a program ends after an uncaught exception, such as one for want of memory or descriptors
// while it starts.
#pragma once

namespace canopy::base {

// From now on such an exception ends the process with one line on standard error and this exit
// code. Called once, first in main(); `program` must outlive the process.
void report_uncaught(const char* program, int exit_code = 1);

}  // namespace canopy::base
