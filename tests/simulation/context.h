// The objects that every part of a simulated world shares.
#pragma once

#include "tests/simulation/checker.h"
#include "tests/simulation/events.h"
#include "tests/simulation/random.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/trace.h"

namespace canopy::simulation {

struct Context {
  Random& random;
  Events& events;
  const Trace& trace;
  const Scenario& scenario;
  Checker& checker;
  Broken broken = Broken::nothing;
};

}  // namespace canopy::simulation
