// How the cluster's own counters grow during a step, read from /metrics of its processes.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "loadtest/topology.h"

namespace canopy::loadtest {

struct Figure {
  std::string name{};
  double during = 0;  // growth during the step
  double total = 0;   // since the processes started that run at the end of the step
};

// The sum of a counter's series whose labels hold `label`, in the Prometheus text format.
double sum_of(const std::string& metrics, const std::string& counter, const std::string& label);

class MetricsProbe {
 public:
  // Reads the counters for the first time. Skips processes that have no HTTP address or do not
  // answer.
  explicit MetricsProbe(std::vector<ProcessId> processes);

  std::vector<Figure> figures() const;

 private:
  using Reading = std::map<std::string, std::vector<double>>;  // by address
  Reading read() const;

  std::vector<ProcessId> processes_;
  Reading start_;
};

}  // namespace canopy::loadtest
