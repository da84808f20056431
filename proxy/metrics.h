// Every series of a proxy, declared once.
#pragma once

#include <string>

#include "core/metrics/registry.h"

namespace canopy::proxy {

class Metrics {
 public:
  explicit Metrics(const std::string& name) : registry("proxy", name) {
    // There from the start, so that the first one is seen as a change.
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
  // Of series without labels.
  metrics::Counter& counter(const char* name, const char* help) {
    return counters(name, help).Add({});
  }
  metrics::Gauge& gauge(const char* name, const char* help) { return gauges(name, help).Add({}); }

  metrics::Family<metrics::Counter>& rejected_ =
      counters("canopy_rejected_total", "Messages refused, by reason.");

 public:
  void reject(std::string_view reason) {
    rejected_.Add({{"reason", std::string(reason)}}).Increment();
  }
  // Updates of the shard that clients of this dialect did not get.
  metrics::Counter& missed_by_clients(const std::string& shard, std::string_view dialect) {
    return hwm_dropped.Add(
        {{"shard", shard}, {"hop", "proxy_to_client"}, {"dialect", std::string(dialect)}});
  }

  metrics::Gauge& clients = gauge("canopy_clients", "Clients connected.");
  metrics::Gauge& max_clients = gauge("canopy_max_clients", "Clients admitted at most.");
  metrics::Gauge& queue_bytes = gauge("canopy_client_queue_bytes",
                                      "Bytes queued for clients, over all of their connections.");
  metrics::Gauge& largest_queue_bytes =
      gauge("canopy_client_queue_bytes_largest", "Bytes queued for the client that has most.");
  metrics::Gauge& slow_clients =
      gauge("canopy_slow_clients", "Connections of clients whose queue is more than half full.");
  metrics::Gauge& directory_up =
      gauge("canopy_directory_up", "1 while the broker answers this process.");
  metrics::Counter& stamped = counter("canopy_updates_stamped_total",
                                      "Updates given this proxy's sequence, over all partitions.");
  metrics::Gauge& pending_bytes = gauge(
      "canopy_pending_bytes", "Bytes of updates that wait for the fan-out, over all protocols.");
  metrics::Counter& upstream_pauses =
      counter("canopy_upstream_pauses_total",
              "Times that the proxy stopped reading from shards, because its fan-out was behind.");
  metrics::Gauge& fetch_bytes =
      gauge("canopy_fetch_bytes",
            "Bytes of the revisions that native clients know, of requests not yet answered.");
  metrics::Gauge& latest_bytes =
      gauge("canopy_latest_bytes", "Bytes of updates that `latest` streams hold back.");
  metrics::Histogram& flush_updates =
      registry.histogram("canopy_batch_updates", "Updates sent in one flush.")
          .Add({}, metrics::count_buckets());
  metrics::Gauge& flush_interval =
      gauge("canopy_flush_interval_seconds",
            "For how long updates gather, as tuned by now: 0 sends each at once.");
  metrics::Gauge& max_linger =
      gauge("canopy_max_linger_seconds",
            "Latency that gathering may add: the flush interval goes beyond only "
            "when it would cost too much of a core.");
  metrics::Histogram& delivery_latency =
      registry
          .histogram("canopy_delivery_latency_seconds",
                     "Time from an update's commit to its fan-out.")
          .Add({}, metrics::latency_buckets());
  metrics::Histogram& snapshot_duration =
      registry
          .histogram("canopy_snapshot_duration_seconds",
                     "Time from the cut of a client's snapshot to its end.")
          .Add({}, metrics::latency_buckets());
  metrics::Gauge& streams = gauge("canopy_streams", "Distinct subscriptions of native clients.");
  metrics::Counter& conflated =
      counter("canopy_conflated_updates_total",
              "Updates that `latest` streams left out for a later one of their key.");
  metrics::Counter& client_gaps =
      counter("canopy_client_gaps_total",
              "Times that a native client was told that updates of its stream are not sent.");
  metrics::Gauge& watch_held_bytes =
      gauge("canopy_watch_held_bytes",
            "Bytes of batches held for watches whose chunks are being sent. "
            "Watches share the batches of their stream; each counts in full.");

  metrics::Family<metrics::Gauge>& accept_paused =
      gauges("canopy_accept_paused",
             "1 while no further connection is accepted, by role.");  // by role
  // By dialect, and by dialect and role.
  metrics::Family<metrics::Gauge>& connections =
      gauges("canopy_connections", "Connections of clients, by dialect and role.");
  metrics::Family<metrics::Counter>& writes_received =
      counters("canopy_writes_received_total", "Updates received from clients.");
  metrics::Family<metrics::Counter>& ignored_metadata =
      counters("canopy_ignored_metadata_total",
               "Updates of Clone clients that were taken without a part "
               "of their metadata, by what was wrong with it.");  // by reason
  metrics::Family<metrics::Counter>& delivered =
      counters("canopy_updates_delivered_total",
               "Updates handed to the queues of subscribed clients, one for each that matches.");
  metrics::Family<metrics::Counter>& delivered_bytes =
      counters("canopy_delivered_bytes_total",
               "Bytes of keys, values and properties handed to the queues of subscribed clients.");
  metrics::Family<metrics::Counter>& snapshot_requests =
      counters("canopy_snapshot_requests_total", "Snapshot requests of clients, by result.");
  metrics::Family<metrics::Gauge>& snapshots_waiting = gauges(
      "canopy_snapshots_waiting", "Snapshot requests not yet answered, and snapshots being sent.");
  // Of the native protocol, by encoding, and by kind.
  metrics::Family<metrics::Counter>& frames =
      counters("canopy_stream_frames_total", "Frames published on streams, by encoding.");
  metrics::Family<metrics::Counter>& client_resyncs = counters(
      "canopy_client_resyncs_total",
      "Catch-ups of native clients that knew a state before: answered with what changed since "
      "(changes), or with all of it (full).");
  // By shard.
  metrics::Family<metrics::Counter>& received =
      counters("canopy_updates_received_total",
               "Updates received from shards: live in batches, or by repair "
               "(replay or snapshot difference).");
  metrics::Family<metrics::Counter>& hwm_dropped =
      counters("canopy_hwm_dropped_updates_total",
               "Updates that a full queue had no room for, by the hop on "
               "which that was.");
  metrics::Family<metrics::Counter>& gaps =
      counters("canopy_gaps_total", "Holes seen in what shards published.");
  metrics::Family<metrics::Counter>& resyncs =
      counters("canopy_resyncs_total", "Completed syncs with a shard, by kind.");
  metrics::Family<metrics::Counter>& forwarded =
      counters("canopy_writes_forwarded_total", "Updates forwarded to shards.");
  metrics::Family<metrics::Gauge>& upstream_queue_bytes =
      gauges("canopy_upstream_queue_bytes", "Bytes of writes that wait for a shard.");
  metrics::Family<metrics::Gauge>& shard_up =
      gauges("canopy_shard_up", "1 while the shard is heard.");
  metrics::Family<metrics::Gauge>& shard_silent =
      gauges("canopy_shard_silent", "1 while a shard that clients need is not heard.");
  // By partition.
  metrics::Family<metrics::Gauge>& keys = gauges("canopy_keys", "Keys mirrored.");
  metrics::Family<metrics::Gauge>& state_bytes =
      gauges("canopy_state_bytes", "Bytes of keys, values and properties mirrored.");
  metrics::Family<metrics::Gauge>& epoch =
      gauges("canopy_epoch", "Epoch of the mirrored partition.");
  metrics::Family<metrics::Gauge>& revision =
      gauges("canopy_revision", "Counter of the last mirrored revision within the epoch.");
  metrics::Family<metrics::Gauge>& held_updates =
      gauges("canopy_held_updates", "Updates held back while a hole before them is repaired.");
  metrics::Family<metrics::Gauge>& held_bytes =
      gauges("canopy_held_bytes", "Bytes of the updates held back.");
};

}  // namespace canopy::proxy
