// What the processes of a cluster and the harness itself cost, read from /proc.
//
// A process that is not on this machine, has gone, or is not what the topology says (its pid means
// nothing here, as between containers) is reported with unknown figures. Not thread-safe.
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
  double cpu_percent = unknown;        // of one core, over the measured time
  std::int64_t open_descriptors = -1;  // the most seen
  std::int64_t max_descriptors = -1;   // its soft limit

  bool descriptors_known() const { return open_descriptors >= 0 && max_descriptors > 0; }
  double descriptor_share() const;
};

struct HarnessUsage {
  double cpu_percent = 0;             // all workers together, of one core
  double busiest_thread_percent = 0;  // above 90: the harness is what is measured
  double machine_percent = 0;         // of all cores, all processes
};

class ClusterProbe {
 public:
  // `workers` are the harness's own.
  ClusterProbe(std::vector<ProcessId> processes, std::vector<pid_t> workers);

  // The measured time begins; ends.
  void begin();
  void end();
  // In between, as often as descriptors are to be counted.
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

// The CPU ticks (user and system) in the text of a /proc stat file; -1 when it is none.
std::int64_t parse_cpu_ticks(const std::string& stat);

}  // namespace canopy::loadtest
