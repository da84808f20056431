// The CPU time of the calling thread.
#pragma once

#include "core/base/clock.h"

namespace canopy::metrics {

struct CpuTime {
  base::Duration ran{};     // since the thread began
  base::Duration waited{};  // ready to run, for a core; 0 where the kernel does not report it
};

CpuTime cpu_time();
// `ran` alone, which costs less.
base::Duration thread_time();

}  // namespace canopy::metrics
