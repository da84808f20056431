// One step: a number of clients on one target, from the first join to the last update's arrival.
// Single-threaded; the clients run in worker processes. Every wait has a timeout.
//
//   parent                           each worker
//   loads keys (--keys-loaded)
//   starts the workers               sends progress five times a second
//   … all clients have joined or failed
//   measure                          begins to count latencies and rates
//   … the duration
//   stop                             stops publishing; sends counters (each client's last update)
//                                    when its writes are answered
//   expected (all counters)          adds to progress how many clients have the expected map
//   … all clients have it, or no update has arrived for the settling time
//   finish                           sends its report and exits
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "loadtest/cluster_probe.h"
#include "loadtest/metrics_probe.h"
#include "loadtest/options.h"
#include "loadtest/progress.h"
#include "loadtest/topology.h"
#include "loadtest/worker_report.h"

namespace canopy::loadtest {

struct StepResult {
  std::string target{};
  bool native = false;
  int clients = 0;
  std::uint64_t served = 0;  // joined, received updates, and theirs arrived
  WorkerReport totals{};
  std::vector<ProcessUsage> processes{};
  HarnessUsage harness{};
  std::vector<Figure> figures{};

  double updates_per_s() const;
  double deliveries_per_s() const;
  std::uint64_t not_converged() const;
  // The sum over the processes; nothing when no figure is known.
  std::optional<double> cpu_percent() const;
  // The process with the greatest share of its descriptor limit; null when no figure is known.
  const ProcessUsage* fullest() const;
  bool harness_saturated() const { return harness.busiest_thread_percent > 90; }
};

// The number of worker processes.
int worker_count(const Options& options);
// Fails when a worker's share of `clients` needs more than `limit` descriptors, or more sockets
// than one libzmq context has; the error has both numbers.
base::Status check_descriptors(const Options& options, int clients, std::uint64_t limit);

base::Result<StepResult> run_step(const Options& options, int clients, const Target& target,
                                  Progress& progress);

}  // namespace canopy::loadtest
