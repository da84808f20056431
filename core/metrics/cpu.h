// The CPU time of this process.
#pragma once

#include "core/base/clock.h"

namespace canopy::metrics {

// Of all its threads, since they began.
struct CpuTime {
  base::Duration ran{};
  // Ready to run, for a core; 0 where the kernel does not tell. Less than before where a thread has
  // ended, or could not be looked at for want of descriptors.
  base::Duration waited{};
};

CpuTime cpu_time();
// What the calling thread has run since it began.
base::Duration thread_time();

}  // namespace canopy::metrics
