// One worker process of the load test: it runs its share of the clients on one epoll loop.
//
// Worker w of n runs the clients whose number modulo n is w, and client i connects to proxy i
// modulo their number. The parent controls it with messages (step.h), and it ends with its parent.
// It uses libzmq, so the parent must fork it before any libzmq context exists.
#pragma once

#include <cstdint>

#include "loadtest/ack_table.h"
#include "loadtest/channel.h"
#include "loadtest/layout.h"
#include "loadtest/options.h"
#include "loadtest/topology.h"

namespace canopy::loadtest {

struct WorkerPlan {
  const Options& options;
  const Layout& layout;
  const Target& target;
  AckTable& acks;
  std::uint64_t run = 0;
  std::int64_t start_us = 0;  // the first client joins; publishing slots count from here
  std::uint32_t index = 0;    // of `workers`
  std::uint32_t workers = 1;
};

// Sockets of one worker's libzmq context with so many clients: three for each Clone client, and as
// many again for clients that have left and whose sockets still send.
inline std::uint64_t zmq_sockets(const Options& options, std::uint64_t clients) {
  return options.dialect ? 6 * clients + 16 : 16;
}

// Returns the exit status when the worker has sent its report or the parent has ended.
int run_worker(const WorkerPlan& plan, Channel parent);

}  // namespace canopy::loadtest
