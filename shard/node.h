// A shard at work: the one place where messages become calls on partitions and sync sessions, and
// what they answer becomes sends.
//
// One turn of the loop: stage every request that has arrived, send some chunks to proxies that
// sync, make the turn's updates durable, commit them, publish one batch per partition, answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/config/program.h"
#include "core/coordination/coordinator.h"
#include "core/keyspace/partition_map.h"
#include "core/metrics/http.h"
#include "core/net/closings.h"
#include "core/net/server.h"
#include "shard/metrics.h"
#include "shard/partition.h"
#include "shard/replies.h"
#include "shard/sync_sessions.h"
#include "shard/tenancy.h"
#include "shard/updates.h"

namespace canopy::shard {

class Node final : private net::ConnectionEvents {
 public:
  // Everything bound and announced, or why not.
  static base::Result<std::unique_ptr<Node>> start(const config::Cluster& cluster,
                                                   const config::Shard& shard, Tenancies tenancies,
                                                   net::Loop& loop);
  ~Node() override;

  // Takes on what can be changed while it runs.
  void reload(config::Start& running);
  // Says goodbye to the directory and puts what is gathered on disk.
  void drain();

  // One line: "2 of 2 partitions served".
  std::string summary() const;

 private:
  struct Served {
    Served(Tenancy opened, Metrics& all)
        : tenancy(std::move(opened)), metrics(all, tenancy.settings.subtree) {}
    Tenancy tenancy;
    PartitionMetrics metrics;
    std::optional<Partition> partition{};  // while this process leads it
    std::optional<Partition> suspended{};  // what it led before its lease ran out
    bool broken = false;                   // its store failed: not served until a restart
    // Led, but the epoch could not be stored yet: the disk is full.
    std::optional<std::uint32_t> epoch_to_store{};
    int extra_commits = 0;  // of this turn
    std::string full{};     // why requests that grow the state are refused, as announced
    base::TimePoint published{};
  };

  Node(const config::Cluster& cluster, const config::Shard& shard, Tenancies tenancies,
       net::Loop& loop);
  base::Status open(const config::Cluster& cluster);
  base::Status listen(const config::Cluster& cluster);
  void campaign(std::size_t index);
  void lead(Served& served, std::uint32_t epoch);
  void suspend(Served& served);
  void fail(Served& served, const std::string& why);
  bool retry_later(Served& served, std::uint32_t epoch, const std::string& why);
  void stop_serving(Served& served, const std::string& why);
  void announce();
  void announce_vitals();

  // Of the requests' listener.
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_drained(net::Connection& connection) override { connection.resume_reading(); }
  void on_closed(net::Connection& connection, std::string_view reason) override;
  bool send(ProxyId proxy, std::string_view frame);
  bool has_room(ProxyId proxy) const;
  void wake();

  void take(ProxyId proxy, wire::Writes writes);
  void take(ProxyId proxy, wire::RoutedRequest routed);
  void take(ProxyId proxy, const wire::Sync& sync);
  void take(ProxyId proxy, const wire::Credit& credit);
  void refuse(ProxyId proxy, wire::RoutedRequest& routed, wire::Fault fault);
  void refuse(ProxyId proxy, const wire::Sync& sync, const std::string& why);

  void end_turn();
  Partition::Staged stage(Served& served, ProxyId proxy, wire::RoutedRequest routed);
  bool commit_now(Served& served);
  void commit(Served& served);
  void publish(Served& served, const wire::Batch& batch);
  bool store(Served& served, base::TimePoint now);
  void check(Served& served, const base::Status& status);
  void report_space(Served& served);
  void send_replies();
  void serve_syncs();
  void tick();
  void report();

  const config::Shard config_;
  base::FileRead file_read_;                         // as the broker is told
  const std::unique_ptr<base::DirectoryLock> lock_;  // may be null
  net::Loop& loop_;
  base::TimePoint started_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  net::Context context_;  // of the connection to the broker
  net::Server server_;
  net::Closings closings_;
  std::optional<zmtp::CurveServer> curve_{};   // with security
  std::unique_ptr<net::Listener> requests_{};  // once open, as the next
  std::unique_ptr<Updates> updates_{};
  std::unique_ptr<coordination::CampaignCoordinator> coordinator_;
  keyspace::PartitionMap map_;
  std::vector<Served> served_;  // by the index of map_
  SyncSessions sessions_;
  Replies replies_;                // this turn's
  base::TimePoint turn_{};         // when this turn's messages were read
  base::Duration last_commits_{};  // how long the commits of the last turn took
  bool wake_pending_ = false;
  bool changed_ = false;  // what is announced, with this turn's end
  base::log::RateLimited malformed_log_;
  base::log::RateLimited full_log_;
};

}  // namespace canopy::shard
