#include "shard/metrics.h"

#include <utility>

namespace canopy::shard {
namespace {

metrics::Labels partition_label(const std::string& subtree) {
  return {{"partition", subtree.empty() ? "*" : subtree}};
}

}  // namespace

Metrics::Metrics(const std::string& name)
    : registry("shard", name),
      committed_(registry.counter("canopy_updates_committed_total",
                                  "Updates that the shard committed and published, by partition.")),
      keys_(registry.gauge("canopy_keys", "Keys of the partition on this shard.")),
      state_bytes_(
          registry.gauge("canopy_state_bytes",
                         "Bytes of keys, values and properties of the partition on this shard.")),
      epoch_(
          registry.gauge("canopy_epoch", "Epoch of the partition; it grows with each new leader.")),
      revision_(registry.gauge("canopy_revision",
                               "Counter of the last revision within the epoch of the partition.")),
      leader_(registry.gauge("canopy_partition_leader",
                             "1 while this shard leads and serves the partition, else 0.")),
      full_(registry.gauge("canopy_partition_full",
                           "1 while the partition refuses writes that grow its state "
                           "(max_state_bytes or no disk space), else 0.")),
      log_updates_(registry.gauge("canopy_log_updates",
                                  "Updates in the log of the partition, available for replays.")),
      in_sync_(registry.gauge("canopy_in_sync_replicas",
                              "Replicas in the in-sync set of a partition that this shard leads.")),
      lag_(registry.gauge(
          "canopy_replica_lag_updates",
          "Updates that a follower of this leader has not stored yet, by follower.")),
      rejected_(registry.counter("canopy_rejected_total",
                                 "Requests and messages that the shard refused, by reason.")),
      snapshot_requests_(
          registry.counter("canopy_snapshot_requests_total",
                           "Syncs of proxies that the shard finished or refused, by result.")),
      received(registry
                   .counter("canopy_updates_received_total",
                            "Updates that the shard received from proxies.")
                   .Add({})),
      repeated(registry
                   .counter("canopy_updates_repeated_total",
                            "Updates that arrived again and were not applied again.")
                   .Add({})),
      answers_dropped(registry
                          .counter("canopy_answers_dropped_total",
                                   "Answers to writes dropped because their proxy had gone.")
                          .Add({})),
      link_queue(registry
                     .gauge("canopy_link_queue_bytes",
                            "Bytes of batches, answers and chunks queued for proxies.")
                     .Add({})),
      storage_queue(registry
                        .gauge("canopy_storage_queue_bytes",
                               "Bytes of operations that wait for the store of this shard.")
                        .Add({})),
      proxy_links(registry.gauge("canopy_proxy_links", "Proxies connected to the shard.").Add({})),
      directory_up(
          registry
              .gauge("canopy_directory_up", "1 while the directory answers this process, else 0.")
              .Add({})),
      sync_sessions(registry
                        .gauge("canopy_sync_sessions",
                               "Snapshots and replays that the shard is sending to proxies.")
                        .Add({})),
      batch_updates(registry.histogram("canopy_batch_updates", "Updates in one published batch.")
                        .Add({}, metrics::count_buckets())),
      commit_latency(
          registry
              .histogram("canopy_commit_latency_seconds",
                         "Seconds from the proposal of a turn's updates to their commit.")
              .Add({}, metrics::latency_buckets())),
      snapshot_duration(
          registry
              .histogram(
                  "canopy_snapshot_duration_seconds",
                  "Seconds from a sync request of a proxy to the last chunk of its snapshot.")
              .Add({}, metrics::latency_buckets())),
      snapshots_sent(snapshot_requests_.Add({{"result", "snapshot"}})),
      replays_sent(snapshot_requests_.Add({{"result", "replay"}})),
      syncs_refused(snapshot_requests_.Add({{"result", "refused"}})) {
  // Series exist from the start: Prometheus sees the first increment as a change.
  for (const char* reason : {"busy", "full", "partition_unavailable"})
    rejected_.Add({{"reason", reason}});
}

void Metrics::reject(const std::string& reason, double count) {
  rejected_.Add({{"reason", reason}}).Increment(count);
}

PartitionMetrics::PartitionMetrics(Metrics& all, const std::string& subtree)
    : committed(all.committed_.Add(partition_label(subtree))),
      keys(all.keys_.Add(partition_label(subtree))),
      state_bytes(all.state_bytes_.Add(partition_label(subtree))),
      epoch(all.epoch_.Add(partition_label(subtree))),
      revision(all.revision_.Add(partition_label(subtree))),
      leader(all.leader_.Add(partition_label(subtree))),
      full(all.full_.Add(partition_label(subtree))),
      log_updates(all.log_updates_.Add(partition_label(subtree))),
      all_(all),
      labels_(partition_label(subtree)) {}

PartitionMetrics::~PartitionMetrics() {
  set_replicas(0, {});
  all_.committed_.Remove(&committed);
  all_.keys_.Remove(&keys);
  all_.state_bytes_.Remove(&state_bytes);
  all_.epoch_.Remove(&epoch);
  all_.revision_.Remove(&revision);
  all_.leader_.Remove(&leader);
  all_.full_.Remove(&full);
  all_.log_updates_.Remove(&log_updates);
}

void PartitionMetrics::set_replicas(std::size_t in_sync,
                                    const std::map<std::string, std::uint64_t>& lags) {
  if (in_sync > 0) {
    in_sync_now_ = &all_.in_sync_.Add(labels_);
    in_sync_now_->Set(static_cast<double>(in_sync));
  } else if (metrics::Gauge* before = std::exchange(in_sync_now_, nullptr)) {
    all_.in_sync_.Remove(before);
  }
  for (const auto& [follower, gauge] : std::exchange(lags_now_, {})) {
    if (!lags.contains(follower)) all_.lag_.Remove(gauge);
  }
  for (const auto& [follower, updates] : lags) {
    metrics::Labels labels = labels_;
    labels["follower"] = follower;
    metrics::Gauge& gauge = all_.lag_.Add(labels);
    gauge.Set(static_cast<double>(updates));
    lags_now_[follower] = &gauge;
  }
}

}  // namespace canopy::shard
