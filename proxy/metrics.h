// Declares every metric of a proxy. Thread-safe, as prometheus-cpp is. Outlives every user.
#pragma once

#include <string>

#include "core/metrics/registry.h"

namespace canopy::proxy {

class Metrics {
 public:
  explicit Metrics(const std::string& name) : registry("proxy", name) {
    // Series exist from the start: Prometheus sees the first increment as a change.
    for (const char* reason : {"busy", "no_partition"}) rejected_.Add({{"reason", reason}});
    for (const char* reason : {"ttl_malformed", "uuid_too_long", "properties_too_long"}) {
      ignored_metadata.Add({{"reason", reason}});
    }
    for (const char* kind : {"changes", "full"}) client_resyncs.Add({{"kind", kind}});
  }

  metrics::Registry registry;

 private:
  metrics::Family<metrics::Counter>& counters(const char* name, const char* help) {
    return registry.counter(name, help);
  }
  metrics::Family<metrics::Gauge>& gauges(const char* name, const char* help) {
    return registry.gauge(name, help);
  }
  // Metrics without labels.
  metrics::Counter& counter(const char* name, const char* help) {
    return counters(name, help).Add({});
  }
  metrics::Gauge& gauge(const char* name, const char* help) { return gauges(name, help).Add({}); }

  metrics::Family<metrics::Counter>& rejected_ =
      counters("canopy_rejected_total", "Requests and messages that the proxy refused, by reason.");

 public:
  void reject(std::string_view reason) {
    rejected_.Add({{"reason", std::string(reason)}}).Increment();
  }
  // Updates of the shard that clients of this dialect missed.
  metrics::Counter& missed_by_clients(const std::string& shard, std::string_view dialect) {
    return hwm_dropped.Add(
        {{"shard", shard}, {"hop", "proxy_to_client"}, {"dialect", std::string(dialect)}});
  }

  metrics::Gauge& clients = gauge("canopy_clients", "Clients connected to the proxy.");
  metrics::Gauge& max_clients = gauge("canopy_max_clients", "Most clients that the proxy admits.");
  metrics::Gauge& queue_bytes =
      gauge("canopy_client_queue_bytes", "Bytes queued for clients, over all connections.");
  metrics::Gauge& largest_queue_bytes = gauge("canopy_client_queue_bytes_largest",
                                              "Bytes in the longest queue of a client connection.");
  metrics::Gauge& slow_clients =
      gauge("canopy_slow_clients", "Client connections whose queue is more than half full.");
  metrics::Gauge& directory_up =
      gauge("canopy_directory_up", "1 while the directory answers this process, else 0.");
  metrics::Counter& stamped =
      counter("canopy_updates_stamped_total",
              "Updates that the proxy stamped with its own sequence, over all partitions.");
  metrics::Gauge& pending_bytes =
      gauge("canopy_pending_bytes", "Bytes of updates that wait for a flush, over all protocols.");
  metrics::Counter& upstream_pauses =
      counter("canopy_upstream_pauses_total",
              "Times that the proxy stopped reading from shards because too many updates waited.");
  metrics::Gauge& fetch_bytes = gauge(
      "canopy_fetch_bytes", "Bytes of known revisions in unanswered requests of native clients.");
  metrics::Gauge& latest_bytes =
      gauge("canopy_latest_bytes",
            "Bytes of updates that `latest` streams hold back until they are due.");
  metrics::Histogram& flush_updates =
      registry.histogram("canopy_batch_updates", "Updates that one flush of a frontend sent.")
          .Add({}, metrics::count_buckets());
  metrics::Gauge& flush_interval = gauge(
      "canopy_flush_interval_seconds",
      "Longest present flush interval of a frontend, in seconds; 0: each update is sent at once.");
  metrics::Gauge& max_linger =
      gauge("canopy_max_linger_seconds",
            "Configured bound of the flush interval, in seconds. The proxy exceeds it only when "
            "flushing would cost too much CPU time.");
  metrics::Histogram& delivery_latency =
      registry
          .histogram("canopy_delivery_latency_seconds",
                     "Seconds from the commit of an update to its flush to clients.")
          .Add({}, metrics::latency_buckets());
  metrics::Histogram& snapshot_duration =
      registry
          .histogram("canopy_snapshot_duration_seconds",
                     "Seconds from the cut of a client's snapshot to its last message.")
          .Add({}, metrics::latency_buckets());
  metrics::Gauge& streams =
      gauge("canopy_streams", "Streams: distinct subscriptions of native clients.");
  metrics::Counter& conflated =
      counter("canopy_conflated_updates_total",
              "Updates that `latest` streams replaced by a later update of the same key.");
  metrics::Counter& client_gaps =
      counter("canopy_client_gaps_total",
              "Gap messages to native clients: each reports updates that the client missed.");
  metrics::Gauge& watch_held_bytes =
      gauge("canopy_watch_held_bytes",
            "Bytes of batches held for watches during their catch-up. "
            "A batch shared by several watches counts once for each.");

  metrics::Family<metrics::Gauge>& accept_paused =
      gauges("canopy_accept_paused",
             "1 while the proxy accepts no further connection of this role, else 0.");  // by role
  // By dialect; connections by dialect and role.
  metrics::Family<metrics::Gauge>& connections =
      gauges("canopy_connections", "Open client connections, by dialect and role.");
  metrics::Family<metrics::Counter>& writes_received = counters(
      "canopy_writes_received_total", "Updates that clients sent to the proxy, by dialect.");
  metrics::Family<metrics::Counter>& ignored_metadata =
      counters("canopy_ignored_metadata_total",
               "Updates of Clone clients accepted without a part of their metadata, "
               "by the fault of that part.");  // by reason
  metrics::Family<metrics::Counter>& delivered =
      counters("canopy_updates_delivered_total",
               "Updates queued for subscribed clients, counted once for each client.");
  metrics::Family<metrics::Counter>& delivered_bytes =
      counters("canopy_delivered_bytes_total",
               "Bytes of keys, values and properties queued for subscribed clients.");
  metrics::Family<metrics::Counter>& snapshot_requests =
      counters("canopy_snapshot_requests_total", "Snapshot requests of clients, by result.");
  metrics::Family<metrics::Gauge>& snapshots_waiting =
      gauges("canopy_snapshots_waiting", "Snapshot requests that are waiting or being answered.");
  // Of the native protocol: by encoding; by kind.
  metrics::Family<metrics::Counter>& frames = counters(
      "canopy_stream_frames_total", "Batches encoded for streams of native clients, by encoding.");
  metrics::Family<metrics::Counter>& client_resyncs =
      counters("canopy_client_resyncs_total",
               "Catch-ups of native clients that named revisions: answered with the changes since "
               "(changes) or with the full state (full).");
  // By shard.
  metrics::Family<metrics::Counter>& received = counters(
      "canopy_updates_received_total",
      "Updates received from shards, by source: live batches, or repair by replay or snapshot.");
  metrics::Family<metrics::Counter>& hwm_dropped = counters(
      "canopy_hwm_dropped_updates_total", "Updates dropped at a full queue, by shard and hop.");
  metrics::Family<metrics::Counter>& gaps =
      counters("canopy_gaps_total", "Holes that the proxy found in the batches of shards.");
  metrics::Family<metrics::Counter>& resyncs =
      counters("canopy_resyncs_total", "Completed syncs with shards, by kind.");
  metrics::Family<metrics::Counter>& forwarded =
      counters("canopy_writes_forwarded_total", "Updates that the proxy forwarded to shards.");
  metrics::Family<metrics::Gauge>& upstream_queue_bytes =
      gauges("canopy_upstream_queue_bytes", "Bytes of writes that wait to be sent to a shard.");
  metrics::Family<metrics::Gauge>& shard_up =
      gauges("canopy_shard_up", "1 while the proxy receives from the shard, else 0.");
  metrics::Family<metrics::Gauge>& shard_missing =
      gauges("canopy_shard_silent",
             "1 while the proxy receives nothing from a shard that its clients need, else 0.");
  // By partition.
  metrics::Family<metrics::Gauge>& keys =
      gauges("canopy_keys", "Keys in the mirror of the partition.");
  metrics::Family<metrics::Gauge>& state_bytes = gauges(
      "canopy_state_bytes", "Bytes of keys, values and properties in the mirror of the partition.");
  metrics::Family<metrics::Gauge>& epoch =
      gauges("canopy_epoch", "Epoch of the mirrored partition.");
  metrics::Family<metrics::Gauge>& revision =
      gauges("canopy_revision", "Counter of the last mirrored revision within the epoch.");
  metrics::Family<metrics::Gauge>& held_updates =
      gauges("canopy_held_updates", "Updates that wait for the repair of a hole before them.");
  metrics::Family<metrics::Gauge>& held_bytes = gauges(
      "canopy_held_bytes", "Bytes of updates that wait for the repair of a hole before them.");
};

}  // namespace canopy::proxy
