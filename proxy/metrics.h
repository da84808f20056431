// Every series of a proxy, declared once.
#pragma once

#include <string>

#include "core/metrics/registry.h"

namespace canopy::proxy {

class Metrics {
 public:
  explicit Metrics(const std::string& name);

  metrics::Registry registry;

 private:
  metrics::Family<metrics::Counter>& rejected_;

 public:
  void reject(std::string_view reason, double count = 1);
  // Updates of the shard that clients of this dialect did not get.
  metrics::Counter& missed_by_clients(const std::string& shard, std::string_view dialect) {
    return hwm_dropped.Add(
        {{"shard", shard}, {"hop", "proxy_to_client"}, {"dialect", std::string(dialect)}});
  }

  metrics::Gauge& clients;
  metrics::Gauge& max_clients;
  metrics::Gauge& queue_bytes;
  metrics::Gauge& largest_queue_bytes;
  metrics::Gauge& slow_clients;
  metrics::Gauge& directory_up;
  metrics::Counter& stamped;
  metrics::Gauge& pending_bytes;
  metrics::Counter& upstream_pauses;
  metrics::Gauge& fetch_bytes;
  metrics::Gauge& latest_bytes;
  metrics::Histogram& flush_updates;
  metrics::Gauge& flush_interval;
  metrics::Gauge& max_linger;
  metrics::Histogram& delivery_latency;
  metrics::Histogram& snapshot_duration;
  metrics::Gauge& streams;
  metrics::Counter& conflated;
  metrics::Counter& client_gaps;
  metrics::Gauge& watch_held_bytes;

  metrics::Family<metrics::Gauge>& accept_paused;  // by role
  // By dialect, and by dialect and role.
  metrics::Family<metrics::Gauge>& connections;
  metrics::Family<metrics::Counter>& writes_received;
  metrics::Family<metrics::Counter>& ignored_metadata;  // by reason
  metrics::Family<metrics::Counter>& delivered;
  metrics::Family<metrics::Counter>& delivered_bytes;
  metrics::Family<metrics::Counter>& snapshot_requests;
  metrics::Family<metrics::Gauge>& snapshots_waiting;
  // Of the native protocol, by encoding, and by kind.
  metrics::Family<metrics::Counter>& frames;
  metrics::Family<metrics::Counter>& client_resyncs;
  // By shard.
  metrics::Family<metrics::Counter>& received;
  metrics::Family<metrics::Counter>& hwm_dropped;
  metrics::Family<metrics::Counter>& gaps;
  metrics::Family<metrics::Counter>& resyncs;
  metrics::Family<metrics::Counter>& forwarded;
  metrics::Family<metrics::Gauge>& upstream_queue_bytes;
  metrics::Family<metrics::Gauge>& shard_up;
  metrics::Family<metrics::Gauge>& shard_silent;
  // By partition.
  metrics::Family<metrics::Gauge>& keys;
  metrics::Family<metrics::Gauge>& state_bytes;
  metrics::Family<metrics::Gauge>& epoch;
  metrics::Family<metrics::Gauge>& revision;
  metrics::Family<metrics::Gauge>& held_updates;
  metrics::Family<metrics::Gauge>& held_bytes;
};

}  // namespace canopy::proxy
