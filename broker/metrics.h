// Declares every metric of the broker (metrics.cc). Thread-safe, as prometheus-cpp is. Outlives
// every user.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "broker/process.h"
#include "core/coordination/partition_status.h"
#include "core/metrics/registry.h"

namespace canopy::broker {

class Metrics {
 public:
  explicit Metrics(const std::string& name);

  metrics::Registry registry;

 private:
  // Declared before the series that are made of them.
  metrics::Family<metrics::Gauge>& members_;
  metrics::Family<metrics::Gauge>& process_up_;
  metrics::Family<metrics::Counter>& restarts_;
  metrics::Family<metrics::Gauge>& leaders_;
  metrics::Family<metrics::Counter>& rejected_;

 public:
  metrics::Counter& lease_expirations;
  metrics::Gauge& last_generation;
  metrics::Gauge& sessions;
  metrics::Gauge& link_queue;

  // By (role, state). Sets a state without processes to 0.
  void set_members(const std::map<std::pair<std::string, std::string>, int>& counts);
  // By (role, name). Removes the series of a process that is not in `processes`.
  void set_process_up(const std::map<std::pair<std::string, std::string>, bool>& processes);
  metrics::Counter& restarts(const Program& program);
  // A partition of the file that no shard has led yet.
  void expect_leader(const std::string& partition, const std::string& shard);
  void set_leaders(const coordination::PartitionStatuses& partitions);
  void reject(std::string_view reason);

 private:
  std::map<std::pair<std::string, std::string>, metrics::Gauge*> by_state_;
  // By (role, name).
  std::map<std::pair<std::string, std::string>, metrics::Gauge*> process_up_gauges_;
  struct Leading {
    std::string shard{};
    metrics::Gauge* gauge = nullptr;
  };
  metrics::Gauge& leader_gauge(const std::string& partition, const std::string& shard);

  std::map<std::string, Leading> leading_;  // by partition: the present or last leader
};

}  // namespace canopy::broker
