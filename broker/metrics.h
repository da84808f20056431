// Every series of the broker, declared once.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "broker/process.h"
#include "core/cluster/registry.h"
#include "core/metrics/registry.h"

namespace canopy::broker {

class Metrics {
 public:
  explicit Metrics(const std::string& name);

  metrics::Registry registry;

 private:
  // Families come before the series that are made of them.
  metrics::Family<metrics::Gauge>& members_;
  metrics::Family<metrics::Counter>& restarts_;
  metrics::Family<metrics::Gauge>& leaders_;
  metrics::Family<metrics::Counter>& rejected_;

 public:
  metrics::Counter& lease_expirations;
  metrics::Gauge& sessions;

  // By (role, state); a state that nobody is in any more goes to 0.
  void set_members(const std::map<std::pair<std::string, std::string>, int>& counts);
  metrics::Counter& restarts(const Program& program);
  void set_leader(const cluster::LeaderChanged& change);
  void reject(std::string_view reason);

 private:
  std::map<std::pair<std::string, std::string>, metrics::Gauge*> by_state_;
  std::map<std::string, metrics::Gauge*> leading_;  // by partition
};

}  // namespace canopy::broker
