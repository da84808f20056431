// Turns a loop until something is so.
#pragma once

#include "core/net/loop.h"

namespace canopy::net {

// False when `met` is not so within ten seconds.
template <typename Met>
bool run_until(Loop& loop, Met met) {
  bool in_time = true;
  const auto give_up = loop.after(std::chrono::seconds(10), [&] {
    in_time = false;
    loop.stop();
  });
  const auto look = loop.every(std::chrono::milliseconds(1), [&] {
    if (met()) loop.stop();
  });
  loop.run();
  loop.cancel(give_up);
  loop.cancel(look);
  return in_time;
}

}  // namespace canopy::net
