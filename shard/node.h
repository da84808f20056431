// A running shard: passes messages to replicas and sync sessions, and carries out their effects.
// All calls come from the loop's thread; the loop outlives it.
//
// One turn of the loop: stage the received writes and pass on replication messages; send chunks to
// proxies that sync; propose the staged writes; send entries to followers; publish and answer
// committed writes. A storage thread writes to disk and posts completions: no turn waits for a
// disk.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/directory_lock.h"
#include "core/base/log.h"
#include "core/config/program.h"
#include "core/coordination/backup.h"
#include "core/coordination/coordinator.h"
#include "core/keyspace/partition_map.h"
#include "core/metrics/http.h"
#include "core/net/closings.h"
#include "core/net/connections.h"
#include "shard/holdings.h"
#include "shard/hosted.h"
#include "shard/metrics.h"
#include "shard/replica_links.h"
#include "shard/replies.h"
#include "shard/storage_thread.h"
#include "shard/sync_sessions.h"
#include "shard/updates.h"

namespace canopy::shard {

class Node final : private net::ConnectionEvents,
                   private Surroundings,
                   private ReplicaLinks::Events {
 public:
  // Binds every listener and announces the shard; an error says why it cannot.
  static base::Result<std::unique_ptr<Node>> start(const config::Cluster& cluster,
                                                   const config::Shard& shard, Holdings holdings,
                                                   net::Loop& loop);
  ~Node() override;

  // Applies the settings that may change while the shard runs.
  void reload(config::Start& running);
  // Leaves the directory and writes submitted operations to disk.
  void drain();

  // One line: "2 of 3 partitions served, 1 followed".
  std::string summary() const;

 private:
  // One for each partition of the cluster, wherever its copies are.
  struct Replica {
    explicit Replica(config::Partition partition) : settings(std::move(partition)) {}
    const config::Partition settings;
    bool configured = true;  // false: it was split off another partition
    bool kept = false;       // this shard keeps a copy
    bool opened = false;     // the copy is open, or being read
    bool clean = false;      // the store has no copy
    std::optional<PartitionMetrics> metrics{};
    std::unique_ptr<Hosted> hosted{};  // null: the copy is being read, or cannot be read
    std::string failure{};             // why it cannot be read
    std::optional<cluster::PartitionRecord> record{};
    std::uint64_t version = 0;                  // of the record; 0: no record yet
    std::vector<keyspace::UpdatePtr> recent{};  // see Hosted::Settings
    bool on_disk() const { return settings.durability == config::Durability::disk; }
    // The announced state while `hosted` is null.
    std::string state() const { return failure.empty() ? "loading" : "failed: " + failure; }
  };

  Node(const config::Cluster& cluster, const config::Shard& shard, Holdings holdings,
       net::Loop& loop);
  base::Status open(const config::Cluster& cluster);
  base::Status listen(const config::Cluster& cluster);
  void open_store(std::unique_ptr<Storage> storage);
  void place(Replica& replica);
  void keep(Replica& replica, bool kept);
  void open_copy(Replica& replica, bool create = true);
  void drop_copy(Replica& replica);
  void forget_copy(Replica& replica);
  void host(Replica& replica, const std::string& identity, cluster::Replica::Recovered recovered);

  // Partitions that were split off others (node_splits.cc).
  struct SplitOff {
    std::string identity{};  // of the copy
    cluster::Replica::SplitOff part{};
  };
  Replica* add_partition(const std::string& subtree);
  void host_split_off();
  void create_split_off();
  bool awaits_split(const Replica& replica) const;

  // Connections of the requests listener: proxies, and shards that follow.
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_drained(net::Connection& connection) override { connection.resume_reading(); }
  void on_closed(net::Connection& connection, std::string_view reason) override;
  void on_request(ProxyId proxy, wire::Writes writes);
  void on_write(ProxyId proxy, wire::RoutedRequest routed);
  void on_request(ProxyId proxy, const wire::Sync& sync);
  void on_request(ProxyId proxy, const wire::Credit& credit);
  void on_follower_message(net::Connection& follower, const wire::ToLeader& message);
  void refuse(ProxyId proxy, wire::RoutedRequest& routed, wire::Fault fault);
  void refuse(ProxyId proxy, const wire::Sync& sync, const std::string& why);
  bool send(ProxyId proxy, std::string_view frame);
  bool has_room(ProxyId proxy) const;
  void wake();

  // Effects of the replicas.
  void store(Hosted& from, std::vector<cluster::Replica::Store> operations) override;
  void propose(Hosted& from, const cluster::Replica::Proposal& proposal) override;
  void send(const std::string& shard, const wire::ToLeader& message) override;
  void publish(Hosted& from, const wire::Batch& batch) override;
  void answer(Reply reply) override { replies_.add(std::move(reply)); }
  void changed(Hosted& hosted) override;
  void split(Hosted& from, cluster::Replica::SplitOff part) override;

  // Events of the links between shards, and of the store.
  void on_leader_link(const std::string& shard, bool up) override;
  void on_follower_gone(const std::string& shard) override;
  void on_leader_message(const std::string& shard, wire::ToFollower message) override;
  void on_stored(const std::string& partition, std::uint64_t sequence);
  void on_store(const StorageThread::Condition& condition);

  void follow_directory();
  void on_shard(const coordination::Event& event);
  void on_record(const coordination::Event& event);
  void on_election(const coordination::Event& event);
  void on_backup_order(const coordination::Event& event);
  void back_up(coordination::Backup backup);
  void report_backup(coordination::Backup backup, const base::Status& status);
  void tell_coordinator_state();
  void tell_coordinator_state(Hosted& hosted);
  Replica* find(const std::string& subtree);
  template <typename Visit>
  void for_each_hosted(Visit&& visit) {
    for (Replica* replica : kept_) {
      if (replica->hosted != nullptr) visit(*replica->hosted);
    }
  }

  void end_turn();
  void serve_followers();
  void serve_syncs();
  void send_replies();
  void count_commits();
  void tick();
  void announce();
  void announce_vitals();
  void report();

  const config::Shard config_;
  const config::Coordination times_;
  base::FileRead file_read_;  // reported to the broker
  const std::string directory_;
  const std::unique_ptr<base::DirectoryLock> lock_;  // may be null
  net::Loop& loop_;
  base::TimePoint started_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  net::Connections server_;
  net::Closings closings_;
  std::optional<zmtp::CurveServer> curve_{};   // with security
  std::unique_ptr<net::Listener> requests_{};  // null until open() has run, as updates_
  std::unique_ptr<Updates> updates_{};
  ReplicaLinks links_;
  std::unique_ptr<coordination::Coordinator> coordinator_;
  keyspace::PartitionMap map_;
  std::vector<std::unique_ptr<Replica>> replicas_;  // by the index of map_
  std::vector<Replica*> kept_{};                    // the replicas that this shard keeps
  std::vector<SplitOff> split_off_{};               // this turn
  const std::string store_;                         // directory of the store
  std::string store_trouble_;                       // why it cannot be opened
  std::unique_ptr<StorageThread> storage_;          // null: no disk partition
  std::set<std::string> alive_{};                   // shards in the directory
  std::uint32_t generation_ = 0;                    // of this process; 0: not granted yet
  std::string low_{};            // why the store accepts no growth; empty: it does
  bool records_listed_ = false;  // the directory has listed every record
  bool shards_listed_ = false;
  bool elections_listed_ = false;
  bool backup_orders_listed_ = false;
  std::string backup_order_{};  // the last one: etcd may repeat it
  SyncSessions sessions_;
  Replies replies_;             // this turn's
  base::TimePoint turn_{};      // time at which this turn read its messages
  base::Duration last_turn_{};  // duration of proposing and committing in the last turn
  bool wake_pending_ = false;
  bool changed_ = false;  // announce the new state at the end of this turn
  base::log::RateLimited malformed_log_;
  base::log::RateLimited full_log_;
};

}  // namespace canopy::shard
