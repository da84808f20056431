// Signals as readable events: TERM and INT ask to stop, HUP to reload, CHLD tells of a child's
// death. Blocks the named signals for this thread and every thread started later: construct it
// before the first Context.
#pragma once

#include <functional>
#include <initializer_list>

#include "core/net/descriptor.h"

namespace canopy::net {

class Loop;

class Signals {
 public:
  explicit Signals(std::initializer_list<int> signals);

  // Calls `handler` with each signal number, on the loop.
  void attach(Loop& loop, std::function<void(int)> handler);

 private:
  Descriptor fd_;
};

}  // namespace canopy::net
