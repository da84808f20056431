// File descriptors of this process.
#pragma once

#include <cstdint>

namespace canopy::metrics {

// Descriptors open now; the count itself opens one more for a moment.
std::uint64_t open_fds();
// Raises max_fds() to at least `wanted`; false when the hard limit is lower.
bool raise_max_fds(std::uint64_t wanted);
// RLIMIT_NOFILE; the largest number when there is no limit.
std::uint64_t max_fds();

}  // namespace canopy::metrics
