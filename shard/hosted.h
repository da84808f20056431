// One replica as this shard hosts it: the state machine that keeps it in step (core/cluster/
// replica.h), the decisions of a leader (partition.h) while it leads, and what both ask of the
// shard.
//
// A leader serves once all that it has found is committed in its own epoch, and as long as its
// lease stands. Between, requests are `partition_unavailable`, and are sent again.
// Pure: time is an argument, and the shard is reached through `Surroundings`. Not thread-safe.
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

// What a replica asks of its shard. None of these calls the replica back before it returns.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  // To be carried out in order, then told by Hosted::stored().
  virtual void store(Hosted& from, std::vector<cluster::Replica::Store> operations) = 0;
  // To be told by Hosted::proposed().
  virtual void propose(Hosted& from, const cluster::Replica::Proposal& proposal) = 0;
  virtual void send(const std::string& shard, const wire::ToLeader& message) = 0;
  virtual void publish(Hosted& from, const wire::Batch& batch) = 0;
  virtual void answer(Reply reply) = 0;
  // Its log has come to a split entry; what it asks of the store has been submitted.
  virtual void split(Hosted& from, cluster::Replica::SplitOff part) = 0;
  // It serves, or no longer does, or says something else of its trouble.
  virtual void changed(Hosted& hosted) = 0;
};

class Hosted {
 public:
  struct Settings {
    cluster::Replica::Settings replica{};
    bool disk = false;  // else nothing is stored: what the replica asks for is done at once
    std::uint64_t max_state_bytes = UINT64_MAX;
    // Updates from before its log, of the partition that it was split off.
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
  // As coordination::PartitionState has it.
  std::string state(base::TimePoint now) const;
  // What people should know; empty: it serves, or follows.
  std::string trouble(base::TimePoint now) const;

  // --- of the coordinator
  void on_record(const std::optional<cluster::PartitionRecord>& record, std::uint64_t version,
                 base::TimePoint now);
  void proposed(bool taken, base::TimePoint now);
  void on_shards(const std::set<std::string>& alive, base::TimePoint now);
  void on_deadline(std::optional<base::TimePoint> deadline, base::TimePoint now);
  void on_generation(std::uint32_t generation) { replica_.on_generation(generation); }
  // --- of the partition that it was split off, and of those that were split off it
  void create(cluster::Replica::Origin origin, base::TimePoint now);
  void on_split_recorded(const std::string& subtree) { replica_.on_split_recorded(subtree); }
  // --- of the store
  void stored(std::uint64_t ticket, base::TimePoint now);
  // Why its disk has no room; empty: it has. What does not make the state larger is taken.
  void set_low(const std::string& why, base::TimePoint now);
  // --- of other shards
  void on_link(const std::string& shard, bool up, base::TimePoint now);
  void on_follower_gone(const std::string& shard, base::TimePoint now);
  void on_message(const std::string& from, const wire::ToLeader& message, base::TimePoint now);
  void on_message(const std::string& from, wire::ToFollower message, base::TimePoint now);
  std::optional<wire::ToFollower> next_for(const std::string& shard, base::TimePoint now) {
    return replica_.next_for(shard, now);
  }
  std::vector<std::string> waiting() const { return replica_.waiting(); }
  // --- of proxies
  Partition::Staged take(ProxyId proxy, wire::RoutedRequest&& routed, base::TimePoint now);

  // Proposes what this turn has staged; expires.
  void end_turn(base::TimePoint now);
  // At least a few times a second.
  void tick(base::TimePoint now);
  void accept_loss(base::TimePoint now);

  // Committed since the last call: how many updates, and how long the oldest took.
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
  std::string low_{};        // of the disk
  std::string full_{};       // of the partition
  std::string trouble_{};    // of the replica
  std::string announced_{};  // of state()
  std::size_t uncommitted_bytes_ = 0;
  // When the groups under way were proposed, with their last revisions.
  std::deque<std::pair<keyspace::Revision, base::TimePoint>> proposed_{};
  base::TimePoint published_{};
  Commits commits_{};
};

}  // namespace canopy::shard
