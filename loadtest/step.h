// One step: so many clients on one target, from the first join to the last update's arrival.
//
//   harness                          each worker
//   keys are loaded, if any
//   (start)                          progress, five times a second, to the end
//   … all have joined, or given up
//   measure                          latencies and rates count from here
//   … the duration
//   stop                             publishes no more; once its writes have been answered, says
//                                    counters: what each client sent
//   expected (everybody's counters)  progress tells how many clients have the exact map
//   … all have, or nothing has arrived for the settling time
//   finish                           answers report, and exits
//
// Every wait is bounded.
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
  std::uint64_t served = 0;  // clients that joined, hear the others, and are heard
  WorkerReport totals{};
  std::vector<ProcessUsage> processes{};
  HarnessUsage harness{};
  std::vector<Figure> figures{};

  double updates_per_s() const;
  double deliveries_per_s() const;
  std::uint64_t not_converged() const;
  // Of all processes whose figure is known; nothing when there is none.
  std::optional<double> cpu_percent() const;
  // The process that has come nearest to its limit of descriptors; null when none is known.
  const ProcessUsage* fullest() const;
  bool harness_saturated() const { return harness.busiest_thread_percent > 90; }
};

// Worker processes for these options.
int worker_count(const Options& options);
// Whether each worker's share of `clients` fits this many descriptors; the error has both numbers.
base::Status check_descriptors(int clients, int workers, std::uint64_t limit);

base::Result<StepResult> run_step(const Options& options, int clients, const Target& target,
                                  Progress& progress);

}  // namespace canopy::loadtest
