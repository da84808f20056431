// The Clone server of 2015: model 3 of the ZeroMQ guide with subtrees, in one process and one
// thread with libzmq's default limits. The load test compares Canopy with it.
#pragma once

#include "core/base/result.h"
#include "loadtest/measure/child.h"
#include "loadtest/topology.h"

namespace canopy::loadtest {

struct Baseline {
  measure::Child process{};
  Target target{};
};

// Starts the server on free ports of 127.0.0.1 with this limit of descriptors. Only the child
// process uses libzmq.
base::Result<Baseline> start_baseline(int nofile);

}  // namespace canopy::loadtest
