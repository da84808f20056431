// The delay before the supervisor restarts a process. Pure.
//
// A process that ran for at least `healthy` restarts at once. The delay doubles each time that it
// ends earlier.
#pragma once

#include <algorithm>

#include "core/base/clock.h"

namespace canopy::broker {

class Backoff {
 public:
  static constexpr base::Duration healthy = std::chrono::seconds(1);
  static constexpr base::Duration first = std::chrono::milliseconds(100);
  static constexpr base::Duration longest = std::chrono::seconds(10);

  // The delay; `lived`: how long the process ran.
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
