// The Clone server of 2015: model 3 of the guide with subtrees, one process and one thread, at
// libzmq's default limits. The comparator of the load test; nothing else uses it.
#pragma once

#include "core/base/result.h"
#include "loadtest/child.h"
#include "loadtest/topology.h"

namespace canopy::loadtest {

struct Baseline {
  Child process{};
  Target target{};
};

// Starts it on free ports of the loopback address, under this limit of descriptors. Uses libzmq in
// the child only.
base::Result<Baseline> start_baseline(int nofile);

}  // namespace canopy::loadtest
