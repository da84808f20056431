// A proxy's links to the shards: one for each shard, with the mirrors of its partitions and the
// writes that wait for it. Belongs to the node's loop. Format: core/wire/link.h.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/cluster/mirror.h"
#include "core/config/cluster.h"
#include "core/coordination/coordinator.h"
#include "core/keyspace/partition_map.h"
#include "core/net/connector.h"
#include "core/net/loop.h"
#include "core/wire/member.h"
#include "proxy/metrics.h"
#include "proxy/mirror_lease.h"
#include "proxy/partitions.h"
#include "proxy/write_queue.h"

namespace canopy::proxy {

class Upstream final : public Partitions {
 public:
  // Updates that a mirror has applied, in order. `committed`: when the leader published them.
  using Applied = std::function<void(std::span<const keyspace::UpdatePtr> updates,
                                     std::size_t shard, base::TimePoint committed)>;
  using Answered = std::function<void(const wire::Answer& answer)>;
  // A partition has a new history: see Frontend::renew().
  using Renewed = std::function<void(std::size_t partition)>;
  // A partition has been split: see Frontend::divide().
  using Divided =
      std::function<void(std::size_t whole, std::size_t part, keyspace::Revision known)>;

  Upstream(const config::Cluster& cluster, const config::Proxy& proxy, net::Loop& loop,
           Metrics& metrics, Applied applied, Answered answered, Renewed renewed, Divided divided);

  // The directory entry of a shard has changed.
  void on_directory(const coordination::Event& event);

  // Queues a client's request for the shard that owns its keys; the fault says why it cannot.
  wire::Fault forward(wire::RoutedRequest request);
  // Sends the requests that forward() has queued in this turn.
  void flush_writes();

  // Stops reading from shards and requesting chunks, because too many updates wait for a flush. A
  // shard drops batches that it cannot queue; these are counted, and repaired after resume().
  void pause();
  void resume();
  bool paused() const { return paused_since_.has_value(); }

  // Mirrors every partition that may hold keys under `prefix`, until `mirror_keep` after the lease
  // has ended.
  MirrorLease lease(std::string_view prefix);
  std::vector<std::size_t> covering(std::string_view prefix) const override {
    return map_.covering(prefix);
  }
  const std::string& subtree(std::size_t partition) const override {
    return map_.subtree(partition);
  }
  const cluster::Mirror* mirror(std::size_t partition) const override;
  const std::string& shard_name(std::size_t shard) const override { return links_[shard]->name; }
  // The counters of the mirrored partitions, by subtree ("*" is the root).
  std::map<std::string, std::uint64_t> revisions() const;
  // The highest epoch of all mirrors.
  std::uint32_t highest_epoch() const;
  // Updates dropped on the way from the shards since the start.
  std::uint64_t dropped() const;
  // True when every partition under the prefix is mirrored.
  bool ready(std::string_view prefix) const;

  // Repeats requests and drops mirrors without a lease. Call it a few times a second.
  void tick();
  void report();
  // For /readyz: "shard NAME" or "partition SUBTREE" -> what is wrong; empty: nothing.
  std::map<std::string, std::string> checks() const;

 private:
  // Queued syncs and credits of mirrors, of some hundred bytes each.
  static constexpr std::size_t max_unsent = 2 * base::max_partitions;
  struct Link final : net::ConnectionEvents {
    Link(Upstream& owner, std::size_t position, const config::Shard& shard,
         const access::KeyPair* keys);

    void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
    bool send(std::string_view request);

    Upstream& upstream;
    std::size_t index;
    std::string name;
    net::Connector requests;
    net::Connector updates;
    std::string requests_endpoint{};  // empty: not yet known
    std::string updates_endpoint{};
    base::TimePoint heard{};
    WriteQueue writes{};
    // Requests of mirrors that wait for the connection. Mirrors repeat those beyond max_unsent.
    std::deque<std::string> unsent{};

    metrics::Counter& received_live;
    metrics::Counter& received_repair;
    metrics::Counter& dropped;
    metrics::Counter& gaps;
    metrics::Counter& replays;
    metrics::Counter& snapshots;
    metrics::Counter& forwarded;
    metrics::Gauge& queue_bytes;
    metrics::Gauge& up;
    metrics::Gauge& missing;
  };
  struct Partition {
    std::size_t link;         // to the shard that leads it, or is preferred to lead
    std::uint32_t epoch = 0;  // of that leadership; 0: not known
    bool retain = true;
    bool configured = true;     // false: it was split off another partition
    std::uint64_t mirrors = 0;  // made so far
    std::optional<cluster::Mirror> mirror{};
  };

  void connect(Link& link, const wire::ShardMember& member);
  void on_leader(Link& link, const wire::PartitionState& state);
  void divide(const std::string& subtree);
  void divide(std::size_t whole, cluster::Mirror::SplitOff part);
  std::size_t add_partition(std::size_t whole, const std::string& subtree);
  void begin_mirror(std::size_t index, cluster::Mirror::SplitOff part);
  void start_mirror(Partition& partition);  // its mirror must exist
  void on_update(Link& link, std::string_view message);
  void on_answer(Link& link, std::string_view message);
  void on_answer(Link& link, const wire::Refused& refused);
  void on_answer(Link& link, const wire::Chunk& chunk);
  void on_answer(Link& link, const wire::Answers& answers);
  cluster::Mirror* find_mirror(const std::string& subtree);
  void carry_out(Link& link, cluster::Mirror::Effects& effects, base::TimePoint committed);
  void send_requests(Link& link);
  void send_writes(Link& link);
  static bool count_forwarded(Link& link);
  bool heard_lately(const Link& link) const;
  void drop_mirror(Partition& partition);

  const config::Proxy& config_;
  net::Loop& loop_;
  Metrics& metrics_;
  Applied applied_;
  Answered answered_;
  Renewed renewed_;
  Divided divided_;
  keyspace::PartitionMap map_;
  net::Connections server_;  // separate from the clients' server: queued bytes count apart
  std::vector<std::unique_ptr<Link>> links_;
  std::deque<Partition> partitions_;  // by the index of map_; elements do not move
  std::optional<base::TimePoint> paused_since_{};
  MirrorLeases leases_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
