// Declares every metric of a shard (metrics.cc). Thread-safe, as prometheus-cpp is. Outlives every
// user.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "core/metrics/registry.h"

namespace canopy::shard {

class PartitionMetrics {
 public:
  PartitionMetrics(class Metrics& all, const std::string& subtree);
  // Removes the series.
  ~PartitionMetrics();
  PartitionMetrics(const PartitionMetrics&) = delete;
  PartitionMetrics& operator=(const PartitionMetrics&) = delete;

  metrics::Counter& committed;
  metrics::Gauge& keys;
  metrics::Gauge& state_bytes;
  metrics::Gauge& epoch;
  metrics::Gauge& revision;
  metrics::Gauge& leader;
  metrics::Gauge& full;
  metrics::Gauge& log_updates;

  // `in_sync`: size of the in-sync set; 0: this shard does not lead, and both metrics have no
  // series. `lags`: shard of a follower -> updates that it has not stored.
  void set_replicas(std::size_t in_sync, const std::map<std::string, std::uint64_t>& lags);

 private:
  class Metrics& all_;
  const metrics::Labels labels_;
  metrics::Gauge* in_sync_now_ = nullptr;
  std::map<std::string, metrics::Gauge*> lags_now_{};
};

class Metrics {
 public:
  explicit Metrics(const std::string& name);

  metrics::Registry registry;

 private:
  // Declared before the series that are made of them.
  metrics::Family<metrics::Counter>& committed_;
  metrics::Family<metrics::Gauge>& keys_;
  metrics::Family<metrics::Gauge>& state_bytes_;
  metrics::Family<metrics::Gauge>& epoch_;
  metrics::Family<metrics::Gauge>& revision_;
  metrics::Family<metrics::Gauge>& leader_;
  metrics::Family<metrics::Gauge>& full_;
  metrics::Family<metrics::Gauge>& log_updates_;
  metrics::Family<metrics::Gauge>& in_sync_;
  metrics::Family<metrics::Gauge>& lag_;
  metrics::Family<metrics::Counter>& rejected_;
  metrics::Family<metrics::Counter>& snapshot_requests_;
  friend class PartitionMetrics;

 public:
  void reject(const std::string& reason, double count = 1);

  metrics::Counter& received;
  metrics::Counter& repeated;
  metrics::Counter& answers_dropped;
  metrics::Gauge& link_queue;
  metrics::Gauge& storage_queue;
  metrics::Gauge& proxy_links;
  metrics::Gauge& directory_up;
  metrics::Gauge& sync_sessions;
  metrics::Histogram& batch_updates;
  metrics::Histogram& commit_latency;
  metrics::Histogram& snapshot_duration;
  metrics::Counter& snapshots_sent;
  metrics::Counter& replays_sent;
  metrics::Counter& syncs_refused;
};

}  // namespace canopy::shard
