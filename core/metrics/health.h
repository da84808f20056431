// The health check of `--health`: asks a running process of this machine over its HTTP port.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace canopy::metrics {

// Prints "ready" and returns 0 when the process at `address` (HOST:PORT as it is bound) answers,
// its loop turns, and none of its checks fails; else prints one line for each reason and returns 1.
// Checks whose names begin with one of `aside` are ignored, because they report faults outside the
// process. Blocks for a few seconds at most.
int tell_health(const std::string& address, const std::vector<std::string_view>& aside = {});

// The reasons; empty: healthy.
std::vector<std::string> ailments(const std::string& address,
                                  const std::vector<std::string_view>& aside);

}  // namespace canopy::metrics
