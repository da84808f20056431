// The CPU time of this process.
#pragma once

#include "core/base/clock.h"

namespace canopy::metrics {

// Of all its threads, since they began.
struct CpuTime {
  base::Duration ran{};
  base::Duration waited{};  // ready to run, for a core; 0 where the kernel does not tell
};

CpuTime cpu_time();

}  // namespace canopy::metrics
