// What the cluster's own counters say of a step, read from the processes' /metrics.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "loadtest/topology.h"

namespace canopy::loadtest {

struct Figure {
  std::string name{};
  double during = 0;  // the step
  double total = 0;   // of the processes that are there at its end, since they started
};

// The sum of a counter's series whose labels hold `label`, in the Prometheus text format.
double sum_of(const std::string& metrics, const std::string& counter, const std::string& label);

class MetricsProbe {
 public:
  // Reads them for the first time. Processes without an HTTP address, or that do not answer, do
  // not count.
  explicit MetricsProbe(std::vector<ProcessId> processes);

  std::vector<Figure> figures() const;

 private:
  using Reading = std::map<std::string, std::vector<double>>;  // by address
  Reading read() const;

  std::vector<ProcessId> processes_;
  Reading start_;
};

}  // namespace canopy::loadtest
