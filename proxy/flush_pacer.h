// When to send what has gathered: at once after a pause, else at most once per linger interval.
// Pure: time is an argument.
#pragma once

#include <algorithm>

#include "core/base/clock.h"

namespace canopy::proxy {

class FlushPacer {
 public:
  explicit FlushPacer(base::Duration linger) : linger_(linger) {}

  // How long what is waiting now should still wait; zero: send.
  base::Duration wait(base::TimePoint now) const {
    return std::max(base::Duration{0}, last_ + linger_ - now);
  }
  void flushed(base::TimePoint now) { last_ = now; }

 private:
  base::Duration linger_;
  base::TimePoint last_{};
};

}  // namespace canopy::proxy
