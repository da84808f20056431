// A shard at work: the one place where messages become calls on replicas and sync sessions, and
// what they answer becomes sends.
//
// One turn of the loop: what has arrived is staged, or passed to the replicas; some chunks go to
// proxies that sync; what was staged is proposed; followers are sent what they wait for; what is
// committed is published and answered. A thread stores what must last, and says so by further
// turns: no turn waits for a disk.
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
  // Everything bound and announced, or why not.
  static base::Result<std::unique_ptr<Node>> start(const config::Cluster& cluster,
                                                   const config::Shard& shard, Holdings holdings,
                                                   net::Loop& loop);
  ~Node() override;

  // Takes on what can be changed while it runs.
  void reload(config::Start& running);
  // Says goodbye to the directory and puts what is gathered on disk.
  void drain();

  // One line: "2 of 3 partitions served, 1 followed".
  std::string summary() const;

 private:
  // Of each partition of the cluster; most may be kept by other shards alone.
  struct Replica {
    explicit Replica(config::Partition partition) : settings(std::move(partition)) {}
    const config::Partition settings;
    bool configured = true;  // else it was split off another partition
    bool kept = false;       // by this shard
    bool opened = false;     // its copy, or it is being read
    bool clean = false;      // no copy is in the store
    std::optional<PartitionMetrics> metrics{};
    std::unique_ptr<Hosted> hosted{};  // null: its copy is being read, or cannot be
    std::string failure{};             // why it cannot be
    std::optional<cluster::PartitionRecord> record{};
    std::uint64_t version = 0;                  // of the record; 0: none has been told
    std::vector<keyspace::UpdatePtr> recent{};  // see Hosted::Settings
    bool on_disk() const { return settings.durability == config::Durability::disk; }
    // While there is no hosted copy.
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

  // What was split off other partitions (node_splits.cc).
  struct SplitOff {
    std::string identity{};  // of the copy
    cluster::Replica::SplitOff part{};
  };
  Replica* add_partition(const std::string& subtree);
  void host_split_off();
  void create_split_off();
  bool awaits_split(const Replica& replica) const;

  // Of the requests' listener: proxies, and shards that follow.
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_drained(net::Connection& connection) override { connection.resume_reading(); }
  void on_closed(net::Connection& connection, std::string_view reason) override;
  void take(ProxyId proxy, wire::Writes writes);
  void take(ProxyId proxy, wire::RoutedRequest routed);
  void take(ProxyId proxy, const wire::Sync& sync);
  void take(ProxyId proxy, const wire::Credit& credit);
  void take(net::Connection& follower, const wire::ToLeader& message);
  void refuse(ProxyId proxy, wire::RoutedRequest& routed, wire::Fault fault);
  void refuse(ProxyId proxy, const wire::Sync& sync, const std::string& why);
  bool send(ProxyId proxy, std::string_view frame);
  bool has_room(ProxyId proxy) const;
  void wake();

  // Of the replicas.
  void store(Hosted& from, std::vector<cluster::Replica::Store> operations) override;
  void propose(Hosted& from, const cluster::Replica::Proposal& proposal) override;
  void send(const std::string& shard, const wire::ToLeader& message) override;
  void publish(Hosted& from, const wire::Batch& batch) override;
  void answer(Reply reply) override { replies_.add(std::move(reply)); }
  void changed(Hosted& hosted) override;
  void split(Hosted& from, cluster::Replica::SplitOff part) override;

  // Of the links between shards, and of the store.
  void on_leader_link(const std::string& shard, bool up) override;
  void on_follower_gone(const std::string& shard) override;
  void on_leader_message(const std::string& shard, wire::ToFollower message) override;
  void on_stored(const std::string& partition, std::uint64_t ticket);
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
  base::FileRead file_read_;  // as the broker is told
  const std::string directory_;
  const std::unique_ptr<base::DirectoryLock> lock_;  // may be null
  net::Loop& loop_;
  base::TimePoint started_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  net::Connections server_;
  net::Closings closings_;
  std::optional<zmtp::CurveServer> curve_{};   // with security
  std::unique_ptr<net::Listener> requests_{};  // once open, as the next
  std::unique_ptr<Updates> updates_{};
  ReplicaLinks links_;
  std::unique_ptr<coordination::Coordinator> coordinator_;
  keyspace::PartitionMap map_;
  std::vector<std::unique_ptr<Replica>> replicas_;  // by the index of map_
  std::vector<Replica*> kept_{};                    // of these, by this shard
  std::vector<SplitOff> split_off_{};               // this turn
  const std::string store_;                         // directory of the store
  std::string store_trouble_;                       // why it cannot be opened
  std::unique_ptr<StorageThread> storage_;          // null: nothing is kept on disk
  std::set<std::string> alive_{};                   // shards, as the directory says
  std::uint32_t generation_ = 0;                    // of this process; 0: not granted yet
  std::string low_{};                               // why the store takes no more; empty: it does
  bool records_listed_ = false;                     // the directory has told all that was there
  bool shards_listed_ = false;
  bool elections_listed_ = false;
  bool backup_orders_listed_ = false;
  std::string backup_order_{};  // the last one: etcd may tell of it again
  SyncSessions sessions_;
  Replies replies_;             // this turn's
  base::TimePoint turn_{};      // when this turn's messages were read
  base::Duration last_turn_{};  // how long proposing and committing took in the last turn
  bool wake_pending_ = false;
  bool changed_ = false;  // what is announced, with this turn's end
  base::log::RateLimited malformed_log_;
  base::log::RateLimited full_log_;
};

}  // namespace canopy::shard
