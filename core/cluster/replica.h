// One replica of a partition: keeps its copy in step with the leader's, or leads.
//
// What holds (Kafka's in-sync replicas; the coordinator is the referee):
// - An entry is committed when it is stored by every member of the in-sync set, and the set has at
//   least `min_in_sync` members. Only then is it applied, published and answered.
// - The record of the partition (partition_record.h) is changed by compare-and-set before anything
//   is committed without a removed member. A member is added by the leader once it has stored all
//   that is committed; from the attempt on its acknowledgements are waited for.
// - Only a member of the set can lead, and each leadership is an epoch of its own: so a leader has
//   all that was ever committed. No clock is trusted for this.
// - A leader commits nothing after the deadline of its lease.
//
//   follower ──record names another leader──▶ asks it (follow), stores what comes, acknowledges
//       │
//       └─ the leader's shard is gone, and this replica is in the set: takes epoch + 1 by
//          compare-and-set; once taken it leads
//
// Of several candidates the one that placement prefers asks first. A leader that is not the
// preferred one hands over once the preferred one has been in the set for `prefer_after`.
//
// What a replica asks of its owner comes as effects. Storage operations are carried out in their
// order; each is reported by stored() once it lasts as the partition's durability says. Messages of
// a connection keep their order, and may be lost with it.
// Pure: no socket, time is an argument. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/base/clock.h"
#include "core/cluster/partition_record.h"
#include "core/cluster/request_table.h"
#include "core/keyspace/replica_log.h"
#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/wire/replication.h"

namespace canopy::cluster {

class Replica {
 public:
  struct Settings {
    std::string partition{};
    ReplicaId self{};
    std::vector<std::string> placement{};  // shards, preferred first; self.shard among them
    std::size_t min_in_sync = 1;
    bool retain = true;  // false: entries are ordered and published, and no tree is kept
    // A copy that started empty may lead at once: the partition is placed on this shard alone, and
    // in memory.
    bool forgetful = false;
    keyspace::ReplicaLog::Limits log{};
    // A member that has not stored what waits for so long leaves the set.
    base::Duration lag = std::chrono::seconds(2);
    base::Duration prefer_after = std::chrono::seconds(10);
    // Each less preferred candidate waits so much longer.
    base::Duration election_step = std::chrono::milliseconds(200);
    // A follow that brings nothing is said again.
    base::Duration retry = std::chrono::seconds(1);
  };

  // What the store has kept; default: nothing, the copy starts empty.
  struct Recovered {
    keyspace::Tree tree{};
    std::vector<keyspace::AppliedRequest> requests{};
    keyspace::Revision committed{};
    std::vector<keyspace::LogEntry> tail{};     // after `committed`
    std::vector<keyspace::EpochEnd> history{};  // up to the end of the tail
    std::optional<PartitionRecord> record{};    // the last one that this replica acted on
  };

  // Storage operations, in order.
  struct BeginEpoch {  // nothing of an earlier epoch is stored after it
    std::uint32_t epoch = 0;
    std::uint64_t lineage = 0;
  };
  struct StoreEntries {
    std::vector<keyspace::LogEntry> entries{};
    // They are committed with being stored: nobody else is waited for.
    bool committed = false;
  };
  struct Truncate {
    keyspace::Revision to{};
  };
  // Entries up to here are committed: what the store keeps as tail becomes part of the tree. Need
  // not last by itself.
  struct Commit {
    keyspace::Revision to{};
  };
  // Replaces the whole copy.
  struct Install {
    keyspace::TreeView tree;
    std::vector<keyspace::AppliedRequest> requests{};
    keyspace::Revision cut{};
    std::vector<keyspace::EpochEnd> history{};
  };
  struct Remember {
    PartitionRecord record{};
  };
  using Operation = std::variant<BeginEpoch, StoreEntries, Truncate, Commit, Install, Remember>;

  struct Store {
    std::uint64_t ticket = 0;  // ascending; given back with stored()
    Operation operation{};
  };
  struct Message {
    std::string to{};  // shard
    wire::ToLeader body{};
  };
  struct Proposal {
    PartitionRecord record{};
    std::uint64_t expected = 0;  // version; 0: no record yet
  };

  // What a call asks of its owner; calls add to it.
  struct Effects {
    std::vector<Store> store{};
    std::vector<Message> messages{};     // to leaders; what is for followers: see next_for()
    std::optional<Proposal> proposal{};  // of the record: at most one is under way
    std::vector<keyspace::LogEntry> committed{};  // newly, in order; applied already
    bool leadership_changed = false;              // leads(), epoch() or lineage()
    bool replaced = false;                        // by an Install: the copy is another one
  };

  Replica(Settings settings, Recovered recovered, base::TimePoint now);

  // --- inputs -------------------------------------------------------------------------------
  // The record, as the coordinator has it; absent: there is none.
  void on_record(std::optional<PartitionRecord> record, std::uint64_t version, base::TimePoint now,
                 Effects& out);
  // What became of the proposal.
  void on_proposed(bool taken, base::TimePoint now, Effects& out);
  // The shards whose leases stand, as the coordinator tells.
  void on_shards(std::set<std::string> alive, base::TimePoint now, Effects& out);
  // The deadline of the own lease; absent: none is held.
  void on_deadline(std::optional<base::TimePoint> deadline, base::TimePoint now, Effects& out);
  // Epochs up to here may have been granted without a record that tells: the least epoch to take.
  void on_generation(std::uint32_t generation) {
    least_epoch_ = std::max(least_epoch_, generation);
  }
  // All operations up to this ticket last.
  void stored(std::uint64_t ticket, base::TimePoint now, Effects& out);
  // The connection to that shard is new, or gone: what was under way on it is lost.
  void on_link(const std::string& shard, bool up, base::TimePoint now, Effects& out);
  void on_message(const std::string& from, const wire::ToLeader& message, base::TimePoint now,
                  Effects& out);
  void on_message(const std::string& from, wire::ToFollower message, base::TimePoint now,
                  Effects& out);
  // At least a few times a second.
  void tick(base::TimePoint now, Effects& out);

  // The leader alone: entries with the revisions next(), next().next() …; whole requests.
  void propose(std::vector<keyspace::LogEntry> entries, base::TimePoint now, Effects& out);
  // A revision for the first entry to propose.
  keyspace::Revision next() const { return log_.last().next(); }

  // The next message for a follower that has room for it; nothing: there is none by now. A bounded
  // amount of work.
  std::optional<wire::ToFollower> next_for(const std::string& shard, base::TimePoint now);
  // Shards that next_for() has something for.
  std::vector<std::string> waiting() const;

  // The way out when every member of the set is lost: this replica leads with what it has. Only an
  // operator may say so.
  void accept_loss(base::TimePoint now, Effects& out);

  // --- state --------------------------------------------------------------------------------
  // Leads, and its lease stands: what it has committed may be read, and writes proposed.
  bool leads(base::TimePoint now) const;
  // Why nothing can be proposed or committed by now, for people; empty: it can. On a follower that
  // is in order: empty.
  std::string trouble(base::TimePoint now) const;
  // Whether there are at least min_in_sync members, so that writes may be proposed.
  bool enough_in_sync() const;
  std::uint32_t epoch() const;    // of the leadership that this replica takes part in; 0: none yet
  std::uint64_t lineage() const;  // of that
  const std::optional<PartitionRecord>& record() const { return record_; }
  keyspace::Revision committed() const { return committed_; }
  const keyspace::ReplicaLog& log() const { return log_; }
  const keyspace::Tree& tree() const { return tree_; }
  const keyspace::Tombstones& tombstones() const { return tombstones_; }
  const RequestTable& requests() const { return requests_; }
  // Of a leader: how many updates each other replica of the placement has not stored yet.
  std::map<std::string, std::uint64_t> lags() const;
};

}  // namespace canopy::cluster
