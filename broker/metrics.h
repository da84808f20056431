// Every series of the broker, declared once.
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
  // Families come before the series that are made of them.
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

  // By (role, state); a state that no process is in any more goes to 0.
  void set_members(const std::map<std::pair<std::string, std::string>, int>& counts);
  // By (role, name); who is not on the roll any more loses the series.
  void set_process_up(const std::map<std::pair<std::string, std::string>, bool>& roll);
  metrics::Counter& restarts(const Program& program);
  // A partition of the file, which no shard has led yet.
  void expect_leader(const std::string& partition, const std::string& shard);
  void set_leaders(const coordination::PartitionStatuses& partitions);
  void reject(std::string_view reason);

 private:
  std::map<std::pair<std::string, std::string>, metrics::Gauge*> by_state_;
  std::map<std::pair<std::string, std::string>, metrics::Gauge*> on_roll_;  // by (role, name)
  struct Leading {
    std::string shard{};
    metrics::Gauge* gauge = nullptr;
  };
  metrics::Gauge& leader_gauge(const std::string& partition, const std::string& shard);

  std::map<std::string, Leading> leading_;  // by partition: who leads it, or was the last to
};

}  // namespace canopy::broker
