// One replica of this shard: combines the replication state machine (core/cluster/replica.h) with
// the decisions of a leader (partition.h), and carries out the effects of both. Pure: time is an
// argument, effects go to `Surroundings`, which outlives it. Not thread-safe.
//
// A leader serves once its whole log is committed in its own epoch, and while its lease lasts.
// Before and after, it refuses requests as `partition_unavailable`; clients send them again.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/cluster/replica.h"
#include "core/wire/link.h"
#include "shard/partition.h"
#include "shard/replies.h"

namespace canopy::shard {

class Hosted;

// The effects of a replica, carried out by its shard. No call may call the replica back before it
// returns.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  // Stores the operations in order; then calls Hosted::stored().
  virtual void store(Hosted& from, std::vector<cluster::Replica::Store> operations) = 0;
  // Proposes to the coordinator; then calls Hosted::proposed().
  virtual void propose(Hosted& from, const cluster::Replica::Proposal& proposal) = 0;
  virtual void send(const std::string& shard, const wire::ToLeader& message) = 0;
  virtual void publish(Hosted& from, const wire::Batch& batch) = 0;
  virtual void answer(Reply reply) = 0;
  // Its log has reached a split entry; the operations for the store were submitted before.
  virtual void split(Hosted& from, cluster::Replica::SplitOff part) = 0;
  // state() or trouble() has changed.
  virtual void changed(Hosted& hosted) = 0;
};

class Hosted {
 public:
  struct Settings {
    cluster::Replica::Settings replica{};
    bool disk = false;  // false: operations count as stored at once
    std::uint64_t max_state_bytes = UINT64_MAX;
    // Of a partition that was split off: updates from before its log.
    std::vector<keyspace::UpdatePtr> recent{};
  };

  // Uncommitted bytes beyond which writes are refused as `busy`.
  static constexpr std::size_t max_uncommitted_bytes = std::size_t{64} << 20;
  static constexpr base::Duration heartbeat_period = std::chrono::seconds(1);

  Hosted(Settings settings, cluster::Replica::Recovered recovered, Surroundings& surroundings,
         base::TimePoint now);

  const std::string& subtree() const { return settings_.replica.partition; }
  const std::string& identity() const { return settings_.replica.self.identity; }
  const cluster::Replica& replica() const { return replica_; }
  bool serves(base::TimePoint now) const { return partition_ && replica_.leads(now); }
  // Format: wire::PartitionState.
  std::string state(base::TimePoint now) const;
  // A problem to show to operators; empty: it serves or follows.
  std::string trouble(base::TimePoint now) const;

  // --- events of the coordinator
  void on_record(const std::optional<cluster::PartitionRecord>& record, std::uint64_t version,
                 base::TimePoint now);
  void proposed(bool taken, base::TimePoint now);
  void on_shards(const std::set<std::string>& alive, base::TimePoint now);
  void on_deadline(std::optional<base::TimePoint> deadline, base::TimePoint now);
  void on_generation(std::uint32_t generation) { replica_.on_generation(generation); }
  // --- events of splits: of its parent, and of its parts
  void create(cluster::Replica::Origin origin, base::TimePoint now);
  void on_split_recorded(const std::string& subtree) { replica_.on_split_recorded(subtree); }
  // --- events of the store
  // Every operation up to this sequence number is durable.
  void stored(std::uint64_t sequence, base::TimePoint now);
  // Why its disk has no room; empty: it has. Writes that do not grow the state are still accepted.
  void set_low(const std::string& why, base::TimePoint now);
  // --- events of other shards
  void on_link(const std::string& shard, bool up, base::TimePoint now);
  void on_follower_gone(const std::string& shard, base::TimePoint now);
  void on_message(const std::string& from, const wire::ToLeader& message, base::TimePoint now);
  void on_message(const std::string& from, wire::ToFollower message, base::TimePoint now);
  std::optional<wire::ToFollower> next_for(const std::string& shard, base::TimePoint now) {
    return replica_.next_for(shard, now);
  }
  std::vector<std::string> waiting() const { return replica_.waiting(); }
  // --- requests of proxies
  Partition::Staged on_request(ProxyId proxy, wire::RoutedRequest&& routed, base::TimePoint now);

  // Deletes expired entries and proposes the writes that this turn has staged.
  void end_turn(base::TimePoint now);
  // Call it a few times a second.
  void tick(base::TimePoint now);
  void accept_loss(base::TimePoint now);

  // Commits since the last call: number of updates, and latency of the oldest.
  struct Commits {
    std::size_t updates = 0;
    base::Duration took{};
  };
  Commits take_commits() { return std::exchange(commits_, {}); }

 private:
  template <typename Call>
  void run(base::TimePoint now, Call&& call);
  void carry_out(cluster::Replica::Effects& effects, base::TimePoint now);
  void serve_or_stop(base::TimePoint now);
  void propose(base::TimePoint now);
  void commit(const std::vector<keyspace::LogEntry>& entries, base::TimePoint now);

  const Settings settings_;
  Surroundings& surroundings_;
  cluster::Replica replica_;
  std::optional<Partition> partition_{};  // while it leads and has begun to serve
  std::uint32_t serving_epoch_ = 0;
  std::string low_{};        // see set_low()
  std::string full_{};       // of partition_
  std::string trouble_{};    // of replica_
  std::string announced_{};  // last state() passed to changed()
  std::size_t uncommitted_bytes_ = 0;
  // The uncommitted groups: last revision and time of the proposal.
  std::deque<std::pair<keyspace::Revision, base::TimePoint>> proposed_{};
  base::TimePoint published_{};
  Commits commits_{};
};

}  // namespace canopy::shard
