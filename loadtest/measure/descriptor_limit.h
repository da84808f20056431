// The limit of open descriptors of this process (RLIMIT_NOFILE).
#pragma once

#include <cstdint>

#include "core/base/result.h"

namespace canopy::measure {

// Raises the soft limit to the hard limit; returns the soft limit.
std::uint64_t raise_descriptor_limit();
// Sets the soft limit; fails above the hard limit.
base::Status set_descriptor_limit(std::uint64_t limit);

}  // namespace canopy::measure
