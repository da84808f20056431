// How long to wait before a process that ended is started again. Pure.
//
// One that had lived for a while restarts at once; one that keeps dying young waits longer each
// time.
#pragma once

#include <algorithm>

#include "core/base/clock.h"

namespace canopy::broker {

class Backoff {
 public:
  static constexpr base::Duration healthy = std::chrono::seconds(1);
  static constexpr base::Duration first = std::chrono::milliseconds(100);
  static constexpr base::Duration longest = std::chrono::seconds(10);

  // The delay, given for how long the process had run.
  base::Duration next(base::Duration lived) {
    if (lived >= healthy) {
      delay_ = {};
    } else {
      delay_ = std::clamp(2 * delay_, first, longest);
    }
    return delay_;
  }

 private:
  base::Duration delay_{};
};

}  // namespace canopy::broker
