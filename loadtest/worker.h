// One worker process of the harness: its share of the clients on one epoll loop.
//
// Clients are dealt in turn: worker w of n runs the clients whose number modulo n is w, and client
// i connects to proxy i modulo their number. The parent's messages drive it (see step.h); it dies
// with its parent. Uses libzmq: run only in a process that has forked off before any context.
#pragma once

#include <cstdint>

#include "loadtest/board.h"
#include "loadtest/channel.h"
#include "loadtest/layout.h"
#include "loadtest/options.h"
#include "loadtest/topology.h"

namespace canopy::loadtest {

struct WorkerPlan {
  const Options& options;
  const Layout& layout;
  const Target& target;
  Board& board;
  std::uint64_t run = 0;
  std::int64_t start_us = 0;  // the first client joins; publishing slots count from here
  std::uint32_t index = 0;    // of `workers`
  std::uint32_t workers = 1;
};

// Until the parent has the worker's report, or is gone. Returns the exit status.
int run_worker(const WorkerPlan& plan, Channel parent);

}  // namespace canopy::loadtest
