#include "proxy/metrics.h"

namespace canopy::proxy {

Metrics::Metrics(const std::string& name)
    : registry("proxy", name),
      rejected_(registry.counter("canopy_rejected_total", "Messages refused, by reason.")),
      clients(registry.gauge("canopy_clients", "Clients connected.").Add({})),
      max_clients(registry.gauge("canopy_max_clients", "Clients admitted at most.").Add({})),
      queue_bytes(registry
                      .gauge("canopy_client_queue_bytes",
                             "Bytes queued for clients, over all of their connections.")
                      .Add({})),
      largest_queue_bytes(registry
                              .gauge("canopy_client_queue_bytes_largest",
                                     "Bytes queued for the client that has most.")
                              .Add({})),
      slow_clients(registry
                       .gauge("canopy_slow_clients",
                              "Connections of clients whose queue is more than half full.")
                       .Add({})),
      directory_up(registry.gauge("canopy_directory_up", "1 while the broker answers this process.")
                       .Add({})),
      stamped(registry
                  .counter("canopy_updates_stamped_total",
                           "Updates given this proxy's sequence, over all partitions.")
                  .Add({})),
      pending_bytes(registry
                        .gauge("canopy_pending_bytes",
                               "Bytes of updates that wait for the fan-out, over all protocols.")
                        .Add({})),
      upstream_pauses(registry
                          .counter("canopy_upstream_pauses_total",
                                   "Times that the proxy stopped reading from shards, because its "
                                   "fan-out was behind.")
                          .Add({})),
      fetch_bytes(
          registry
              .gauge(
                  "canopy_fetch_bytes",
                  "Bytes of the revisions that native clients know, of requests not yet answered.")
              .Add({})),
      latest_bytes(
          registry.gauge("canopy_latest_bytes", "Bytes of updates that `latest` streams hold back.")
              .Add({})),
      flush_updates(registry.histogram("canopy_batch_updates", "Updates sent in one flush.")
                        .Add({}, metrics::count_buckets())),
      flush_interval(
          registry
              .gauge("canopy_flush_interval_seconds",
                     "For how long updates gather, as tuned by now: 0 sends each at once.")
              .Add({})),
      max_linger(registry
                     .gauge("canopy_max_linger_seconds",
                            "Latency that gathering may add: the flush interval goes beyond only "
                            "when it would cost too much of a core.")
                     .Add({})),
      delivery_latency(registry
                           .histogram("canopy_delivery_latency_seconds",
                                      "Time from an update's commit to its fan-out.")
                           .Add({}, metrics::latency_buckets())),
      snapshot_duration(registry
                            .histogram("canopy_snapshot_duration_seconds",
                                       "Time from the cut of a client's snapshot to its end.")
                            .Add({}, metrics::latency_buckets())),
      streams(
          registry.gauge("canopy_streams", "Distinct subscriptions of native clients.").Add({})),
      conflated(registry
                    .counter("canopy_conflated_updates_total",
                             "Updates that `latest` streams left out for a later one of their key.")
                    .Add({})),
      client_gaps(
          registry
              .counter(
                  "canopy_client_gaps_total",
                  "Times that a native client was told that updates of its stream are not sent.")
              .Add({})),
      watch_held_bytes(registry
                           .gauge("canopy_watch_held_bytes",
                                  "Bytes of batches held for watches whose chunks are being sent. "
                                  "Watches share the batches of their stream; each counts in full.")
                           .Add({})),
      accept_paused(registry.gauge("canopy_accept_paused",
                                   "1 while no further connection is accepted, by role.")),
      connections(
          registry.gauge("canopy_connections", "Connections of clients, by dialect and role.")),
      writes_received(
          registry.counter("canopy_writes_received_total", "Updates received from clients.")),
      ignored_metadata(registry.counter("canopy_ignored_metadata_total",
                                        "Updates of Clone clients that were taken without a part "
                                        "of their metadata, by what was wrong with it.")),
      delivered(registry.counter(
          "canopy_updates_delivered_total",
          "Updates handed to the queues of subscribed clients, one for each that matches.")),
      delivered_bytes(registry.counter(
          "canopy_delivered_bytes_total",
          "Bytes of keys, values and properties handed to the queues of subscribed clients.")),
      snapshot_requests(registry.counter("canopy_snapshot_requests_total",
                                         "Snapshot requests of clients, by result.")),
      snapshots_waiting(
          registry.gauge("canopy_snapshots_waiting",
                         "Snapshot requests not yet answered, and snapshots being sent.")),
      frames(registry.counter("canopy_stream_frames_total",
                              "Frames published on streams, by encoding.")),
      client_resyncs(registry.counter(
          "canopy_client_resyncs_total",
          "Catch-ups of native clients that knew a state before: answered with what changed since "
          "(changes), or with all of it (full).")),
      received(registry.counter("canopy_updates_received_total",
                                "Updates received from shards: live in batches, or by repair "
                                "(replay or snapshot difference).")),
      hwm_dropped(registry.counter("canopy_hwm_dropped_updates_total",
                                   "Updates that a full queue had no room for, by the hop on "
                                   "which that was.")),
      gaps(registry.counter("canopy_gaps_total", "Holes seen in what shards published.")),
      resyncs(registry.counter("canopy_resyncs_total", "Completed syncs with a shard, by kind.")),
      forwarded(registry.counter("canopy_writes_forwarded_total", "Updates forwarded to shards.")),
      upstream_queue_bytes(
          registry.gauge("canopy_upstream_queue_bytes", "Bytes of writes that wait for a shard.")),
      shard_up(registry.gauge("canopy_shard_up", "1 while the shard is heard.")),
      shard_silent(
          registry.gauge("canopy_shard_silent", "1 while a shard that clients need is not heard.")),
      keys(registry.gauge("canopy_keys", "Keys mirrored.")),
      state_bytes(
          registry.gauge("canopy_state_bytes", "Bytes of keys, values and properties mirrored.")),
      epoch(registry.gauge("canopy_epoch", "Epoch of the mirrored partition.")),
      revision(registry.gauge("canopy_revision",
                              "Counter of the last mirrored revision within the epoch.")),
      held_updates(registry.gauge("canopy_held_updates",
                                  "Updates held back while a hole before them is repaired.")),
      held_bytes(registry.gauge("canopy_held_bytes", "Bytes of the updates held back.")) {
  // There from the start, so that the first one is seen as a change.
  for (const char* reason : {"busy", "no_partition"}) rejected_.Add({{"reason", reason}});
  for (const char* reason : {"ttl_malformed", "uuid_too_long", "properties_too_long"}) {
    ignored_metadata.Add({{"reason", reason}});
  }
  for (const char* kind : {"changes", "full"}) client_resyncs.Add({{"kind", kind}});
}

void Metrics::reject(std::string_view reason, double count) {
  rejected_.Add({{"reason", std::string(reason)}}).Increment(count);
}

}  // namespace canopy::proxy
