// CPU time and descriptors of the cluster's processes and of the workers, read from /proc.
// Not thread-safe.
//
// The figures of a process are unknown when it is on another machine or in another container, or
// has ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "loadtest/topology.h"

namespace canopy::loadtest {

inline constexpr double unknown = -1;

struct ProcessUsage {
  std::string role{};
  std::string name{};
  std::int64_t pid = 0;
  double cpu_percent = unknown;        // of one core, over the measurement
  std::int64_t open_descriptors = -1;  // the greatest number observed
  std::int64_t max_descriptors = -1;   // the soft limit

  bool descriptors_known() const { return open_descriptors >= 0 && max_descriptors > 0; }
  double descriptor_share() const;
};

struct HarnessUsage {
  double cpu_percent = 0;             // of all workers together, of one core
  double busiest_thread_percent = 0;  // above 90: the load test is saturated
  double machine_percent = 0;         // of all cores, by all processes
};

class ClusterProbe {
 public:
  // `workers` are the processes of the load test.
  ClusterProbe(std::vector<ProcessId> processes, std::vector<pid_t> workers);

  // Begins and ends the measurement.
  void begin();
  void end();
  // Counts descriptors once more, between begin() and end().
  void observe();

  const std::vector<ProcessUsage>& processes() const { return usage_; }
  const HarnessUsage& harness() const { return harness_; }

 private:
  struct Reading {
    std::int64_t at_us = 0;
    std::vector<std::int64_t> processes{};  // CPU ticks; -1: unknown
    std::int64_t workers = 0;
    std::map<std::string, std::int64_t> threads{};  // of the workers, by path
    std::int64_t machine_busy = 0, machine_total = 0;
  };

  Reading read() const;

  std::vector<pid_t> workers_;
  std::vector<ProcessUsage> usage_;
  HarnessUsage harness_;
  Reading start_;
};

// The CPU ticks (user and system) in the text of /proc/PID/stat; -1 when the text is not valid.
std::int64_t parse_cpu_ticks(const std::string& stat);

}  // namespace canopy::loadtest
