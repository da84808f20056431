// One replica of a partition: follows the leader, or leads.
// Pure: no socket, time is an argument. Not thread-safe.
//
// The algorithm is that of Kafka's in-sync replicas; the coordinator decides:
// - An entry is committed when it is stored by every member of the in-sync set, and the set has at
//   least `min_in_sync` members. Only then is it applied, published and answered.
// - The record of the partition (partition_record.h) is changed by compare-and-set before anything
//   is committed without a removed member. The leader adds a member once it has stored all entries
//   that may be committed, the start of the leader's epoch included. While it is about to be added,
//   the leader waits for its acknowledgements.
// - Only a member of the set can lead, and each leadership is an epoch of its own: so a leader has
//   every committed entry. This depends on no clock.
// - A leader commits nothing after the deadline of its lease, unless no other replica is placed.
//
//   follower ──record names another leader──▶ sends Follow, stores entries, acknowledges
//       │
//       └─ the leader's shard is gone, and this replica is in the set: proposes epoch + 1 by
//          compare-and-set; once that succeeds it leads
//
// Of several candidates the one that placement prefers proposes first. A leader that is not the
// preferred one hands over once the preferred one has been in the set for `prefer_after`.
//
// An operator changes the placement, in the record, by compare-and-set. Newly placed replicas join
// the set like any other. Replicas that are no longer placed leave the set once every placed shard
// is in it; a leader hands over first. Then their copies are not needed: see dispensable().
//
// An operator orders a split, in the record; the leader's owner proposes a split entry. A replica
// that applies it moves the subtree from its copy to a replica of the new partition (SplitOff). The
// leader's owner creates the record of the new partition, with the members of the set: they have
// stored the split entry. Until then no replica joins the set.
//
// Calls return effects for the owner. The owner carries out storage operations in their order, and
// reports each by stored() once it is durable. Messages of a connection keep their order, and may
// be lost with it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/cluster/partition_record.h"
#include "core/cluster/replica_storage.h"
#include "core/cluster/request_table.h"
#include "core/keyspace/replica_log.h"
#include "core/wire/replication.h"

namespace canopy::cluster {

class Replica {
 public:
  struct Settings {
    std::string partition{};
    ReplicaId self{};
    // Shards, preferred first, while the record names none; need not include this replica's shard.
    std::vector<std::string> placement{};
    std::size_t min_in_sync = 1;
    bool retain = true;  // false: entries are ordered and published, and no tree is kept
    // Durability `memory`: the only copy may lead at once although it started empty.
    bool forgetful = false;
    keyspace::ReplicaLog::Limits log{};
    // A member leaves the set when an entry has waited for its acknowledgement for longer.
    base::Duration lag = std::chrono::seconds(2);
    base::Duration prefer_after = std::chrono::seconds(10);
    // Further wait of each less preferred candidate.
    base::Duration election_step = std::chrono::milliseconds(200);
    // Members whose shards are there and that do not take over within this time count as lost.
    base::Duration takeover = std::chrono::seconds(5);
    // Interval after which an unanswered Follow, and the last Stored, are sent again.
    base::Duration retry = std::chrono::seconds(1);
    // Returns 64 random bits, for the lineage of a leadership.
    std::function<std::uint64_t()> random{};
  };

  using Recovered = storage::Recovered;
  using BeginEpoch = storage::BeginEpoch;
  using StoreEntries = storage::StoreEntries;
  using Truncate = storage::Truncate;
  using Commit = storage::Commit;
  using Split = storage::Split;
  using Install = storage::Install;
  using Remember = storage::Remember;
  using Operation = storage::Operation;

  struct Store {
    std::uint64_t sequence = 0;  // ascending; the owner returns it with stored()
    Operation operation;
  };
  struct Message {
    std::string to{};  // shard
    wire::ToLeader body{};
  };
  struct Proposal {
    PartitionRecord record{};
    std::uint64_t expected = 0;  // version; 0: no record yet
  };

  // This shard's copy of a partition that begins at a split entry. Of the same identity.
  struct SplitOff {
    std::string subtree{};
    Recovered copy{};
    std::vector<keyspace::UpdatePtr> recent{};  // updates of the log, oldest first
  };
  // From what the record of a split-off partition is created.
  struct Origin {
    std::string parent{};
    std::vector<ReplicaId> members{};  // each has stored the split entry
    std::vector<std::string> placement{};
  };
  // What the owner must do; calls append.
  struct Effects {
    std::vector<Store> store{};
    std::vector<Message> messages{};     // to leaders; for messages to followers see next_for()
    std::optional<Proposal> proposal{};  // of the record; at most one is under way
    std::vector<keyspace::LogEntry> committed{};  // new ones, in order; already applied
    std::vector<SplitOff> split_off{};
    bool leadership_changed = false;  // leads(), epoch() or lineage()
    bool replaced = false;            // an Install has replaced the copy
  };

  Replica(Settings settings, Recovered recovered, base::TimePoint now);

  // --- inputs -------------------------------------------------------------------------------
  // The coordinator's record; absent: there is none.
  void on_record(std::optional<PartitionRecord> record, std::uint64_t version, base::TimePoint now,
                 Effects& out);
  // The outcome of the proposal.
  void on_proposed(bool taken, base::TimePoint now, Effects& out);
  // The shards that hold a lease, as the coordinator reports.
  void on_shards(std::set<std::string> alive, base::TimePoint now, Effects& out);
  // The deadline of this shard's lease; absent: it holds none.
  void on_deadline(std::optional<base::TimePoint> deadline, base::TimePoint now, Effects& out);
  // Epochs up to here may have been granted without a record that names them.
  void on_generation(std::uint32_t generation) {
    least_epoch_ = std::max(least_epoch_, generation);
  }
  // All operations up to this sequence are durable.
  void stored(std::uint64_t sequence, base::TimePoint now, Effects& out);
  // The connection for following that shard is up, or lost with its messages under way.
  void on_link(const std::string& shard, bool up, base::TimePoint now, Effects& out);
  // The connection by which that shard follows is lost.
  void on_follower_gone(const std::string& shard, base::TimePoint now, Effects& out);
  void on_message(const std::string& from, const wire::ToLeader& message, base::TimePoint now,
                  Effects& out);
  void on_message(const std::string& from, wire::ToFollower message, base::TimePoint now,
                  Effects& out);
  // At least a few times a second.
  void tick(base::TimePoint now, Effects& out);

  // Creates the record of a split-off partition that has none; `origin`: origin() of the parent's
  // replica on this shard.
  void create(Origin origin, base::TimePoint now, Effects& out);
  // A partition that was split off this one has a record.
  void on_split_recorded(const std::string& subtree) { unrecorded_.erase(subtree); }

  // Only while leads(): entries with the revisions next(), next().next() …; whole requests.
  void propose(std::vector<keyspace::LogEntry> entries, base::TimePoint now, Effects& out);
  // The revision of the first entry to propose.
  keyspace::Revision next() const { return log_.last().next(); }

  // The next message for a follower whose queue has room; absent: there is none now. Does a bounded
  // amount of work.
  std::optional<wire::ToFollower> next_for(const std::string& shard, base::TimePoint now);
  // Shards for which next_for() has a message.
  std::vector<std::string> waiting() const;

  // After the loss of every member of the set, this replica leads with the entries that it has.
  // Only an operator may order this. Does nothing while another replica may lead without loss.
  void accept_loss(base::TimePoint now, Effects& out);

  // --- state --------------------------------------------------------------------------------
  const std::string& partition() const { return settings_.partition; }
  // True while this replica may serve reads and accept proposals: its lease holds, the coordinator
  // has stored its record since the lease began, and the entries of former epochs are committed. So
  // it has committed everything that was ever published or answered.
  bool leads(base::TimePoint now) const;
  // Why nothing can be proposed or committed now, for people; empty: it can. Empty on a healthy
  // follower.
  std::string trouble(base::TimePoint now) const;
  // Whether there are at least min_in_sync members, so that writes may be proposed.
  bool enough_in_sync() const;
  std::uint32_t epoch() const;    // of the leader that this replica follows or is; 0: none yet
  std::uint64_t lineage() const;  // of the same leadership
  // True when the owner may delete this replica and its copy: it is no longer placed, and not in
  // the set, and every placed shard is in the set.
  bool dispensable() const;
  const std::optional<PartitionRecord>& record() const { return record_; }
  keyspace::Revision committed() const { return committed_; }
  const keyspace::ReplicaLog& log() const { return log_; }
  const keyspace::Tree& tree() const { return tree_; }
  const keyspace::Tombstones& tombstones() const { return tombstones_; }
  const keyspace::Splits& splits() const { return splits_; }
  // Split-off partitions without a known record, and, of a leader, their origin.
  const std::set<std::string>& unrecorded() const { return unrecorded_; }
  std::optional<Origin> origin() const;
  const RequestTable& requests() const { return requests_; }
  // From the last record that this replica acted on, else from the configuration.
  const std::vector<std::string>& placement() const;
  // Of a leader: the number of updates that each other placed replica has not stored yet.
  std::map<std::string, std::uint64_t> lags() const;

 private:
  // The committed state while it is sent to a follower.
  struct SnapshotWalk {
    std::vector<keyspace::UpdatePtr> splits{};
    std::size_t next_split = 0;
    keyspace::TreeView::Cursor entry;
    std::vector<keyspace::AppliedRequest> requests{};
    std::size_t next_request = 0;
    keyspace::Revision cut{};
    std::vector<keyspace::EpochEnd> history{};  // sent with the first chunk
  };
  // A replica as the leader sees it.
  struct Follower {
    std::string identity{};
    keyspace::Revision acknowledged{};  // durable there
    // The oldest entry that it has not stored is not after `mark`, and waits since `waiting_since`.
    keyspace::Revision mark{};
    std::optional<base::TimePoint> waiting_since{};

    bool open = false;       // its session
    bool confirmed = false;  // it has acknowledged something in this session
    std::uint64_t session = 0;
    std::uint64_t number = 0;             // of the next message
    keyspace::Revision sent{};            // entries up to here
    keyspace::Revision committed_sent{};  // the last commit position sent
    std::optional<SnapshotWalk> snapshot{};
    std::deque<std::pair<keyspace::Revision, std::size_t>> in_flight{};  // bytes up to a position
    std::size_t bytes_in_flight = 0;
  };
  // The session with the leader that this replica follows.
  struct Following {
    std::uint64_t session = 0;
    base::TimePoint last_sent{};  // a Follow or Stored
    bool from_nothing = false;    // this log shares nothing with the leader's: needs a snapshot
    bool answered = false;
    std::uint64_t number = 0;               // of the next message
    keyspace::Revision leader_committed{};  // the leader's commit position, as last received
    struct Staging {
      keyspace::Tree tree{};
      keyspace::Splits splits{};
      std::vector<keyspace::AppliedRequest> requests{};
      keyspace::Revision cut{};
      std::vector<keyspace::EpochEnd> history{};
    };
    std::optional<Staging> staging{};
  };
  using Leadership = std::pair<std::uint32_t, std::uint64_t>;  // epoch and lineage

  // replica.cc: the record, and this replica's copy.
  void settle(base::TimePoint now, Effects& out);
  void adopt(base::TimePoint now, Effects& out);
  bool lost() const;
  std::uint32_t known_epoch() const;
  bool has_lease(base::TimePoint now) const;
  void watch_lease(base::TimePoint now);
  bool caught_up() const;
  void confirm(const PartitionRecord& taken);
  bool alive(const std::string& shard) const { return alive_ && alive_->contains(shard); }
  bool in_sync(const ReplicaId& replica) const;
  void propose_record(PartitionRecord record, Effects& out);
  std::uint64_t store(Operation operation, Effects& out);
  void store_log(Operation operation, Effects& out);
  void begin_epoch(std::uint32_t epoch, std::uint64_t lineage, Effects& out);
  void append(std::vector<keyspace::LogEntry> entries, bool committed, Effects& out);
  void truncate(keyspace::Revision to, Effects& out);
  void commit(keyspace::Revision limit, Effects& out);
  void apply(const keyspace::LogEntry& entry, Effects& out);
  keyspace::Revision whole(keyspace::Revision limit) const;
  keyspace::Revision irrevocable() const { return std::max(committed_, committed_by_store_); }

  // replica_split.cc
  void expect_records();
  void split_off(const keyspace::LogEntry& entry, Effects& out);

  // replica_placement.cc
  bool placed(const std::string& shard) const;
  bool wanted(const std::string& shard) const;
  bool alone() const;
  bool forgetful() const;
  void dismiss(std::vector<ReplicaId>& members);

  // replica_election.cc: a replica that does not lead.
  void consider_leading(base::TimePoint now, Effects& out);
  std::optional<base::Duration> wait_to_lead(base::TimePoint now) const;
  std::optional<base::Duration> wait_to_create() const;
  bool leader_is_gone() const;
  void watch_leader(base::TimePoint now);
  bool virgin() const;
  std::size_t rank() const;
  PartitionRecord candidacy() const;
  std::uint32_t next_epoch() const;
  std::uint64_t draw_lineage() const;
  std::string trouble_of_leader(base::TimePoint now) const;
  std::string trouble_of_follower(base::TimePoint now) const;

  // replica_leader.cc
  void lead(base::TimePoint now, Effects& out);
  void step_down();
  void advance(base::TimePoint now, Effects& out);
  keyspace::Revision stored_by_all() const;
  keyspace::Revision acknowledged(const ReplicaId& replica) const;
  void watch_lags(base::TimePoint now);
  bool lagging(const Follower& follower, base::TimePoint now) const;
  std::uint64_t updates_after(keyspace::Revision position) const;
  void decide_as_leader(base::TimePoint now, Effects& out);
  bool must_leave(const ReplicaId& member, base::TimePoint now) const;
  bool may_join(const ReplicaId& replica, base::TimePoint now) const;
  void choose_joining(base::TimePoint now);
  void consider_handover(base::TimePoint now, Effects& out);
  ReplicaId preferred() const;

  // replica_feed.cc: messages to followers.
  void answer(const std::string& from, const wire::Follow& follow);
  void answer(const std::string& from, const wire::Stored& stored);
  void refuse(const std::string& from, std::uint64_t session);
  void begin_snapshot(Follower& follower) const;
  bool has_message(const Follower& follower) const;
  wire::Append next_append(Follower& follower) const;
  wire::Snapshot next_snapshot(Follower& follower) const;

  // replica_follower.cc
  void follow(bool from_nothing, base::TimePoint now, Effects& out);
  void send_follow(Effects& out) const;
  void send_stored(Effects& out) const;
  void keep_following(base::TimePoint now, Effects& out);
  void leave_session(base::TimePoint now);
  void receive(wire::Append append, base::TimePoint now, Effects& out);
  void receive(wire::Snapshot snapshot, base::TimePoint now, Effects& out);
  void receive(const wire::Unled& unled, base::TimePoint now, Effects& out);
  void install(Effects& out);

  Settings settings_;
  keyspace::Tree tree_;
  keyspace::Tombstones tombstones_;
  keyspace::Splits splits_;
  std::set<std::string> unrecorded_;
  std::optional<Origin> origin_;
  RequestTable requests_;
  keyspace::ReplicaLog log_;
  keyspace::Revision committed_;
  // The commit position that the store knows; it may commit entries as it stores them.
  keyspace::Revision committed_by_store_;
  keyspace::Revision stored_;
  std::uint64_t sequence_ = 0;
  // Sequences of operations under way, and the positions that become durable with them; ascending.
  std::deque<std::pair<std::uint64_t, keyspace::Revision>> storing_;

  // As the coordinator reports.
  bool heard_ = false;
  std::optional<PartitionRecord> record_;
  std::uint64_t version_ = 0;
  std::optional<std::uint32_t> heard_epoch_;  // the highest of any record
  std::optional<std::set<std::string>> alive_;
  std::optional<base::TimePoint> deadline_;
  std::uint32_t least_epoch_ = 0;
  std::set<std::string> links_;

  std::optional<PartitionRecord> remembered_;  // the last one that this replica acted on
  std::optional<Proposal> proposal_;           // under way
  bool lapsed_ = true;                         // the lease has lapsed since the proposal was made
  bool confirmed_ = false;  // the coordinator has stored one of this leader since the lease began
  // A proposal was stored: records up to this version are older.
  std::optional<std::uint64_t> awaited_after_;
  base::TimePoint blocked_until_{};  // a proposal was refused, and no newer record is known yet
  Leadership candidacy_{};           // as last proposed
  bool accepts_loss_ = false;
  std::optional<base::TimePoint> vacant_since_;
  std::optional<base::TimePoint> leaderless_since_;
  std::optional<ReplicaId> gone_;  // the leader whose copy is lost

  std::uint32_t epoch_ = 0;
  std::uint64_t lineage_ = 0;
  bool leading_ = false;
  std::tuple<bool, std::uint32_t, std::uint64_t> reported_{};
  base::TimePoint settled_{};  // time of the last call

  // Of a leader.
  std::map<std::string, Follower> followers_;
  std::optional<ReplicaId> joining_;  // about to become a member; commits wait for it
  std::optional<std::pair<ReplicaId, base::TimePoint>>
      prefers_;  // the preferred member, since then
  bool handing_over_ = false;

  // Of a follower.
  std::optional<Following> following_;
  std::uint64_t last_session_ = 0;

  std::map<std::string, wire::Unled> unled_;  // refusals to be sent
  std::map<std::string, wire::Follow>
      early_;  // for an epoch that this replica may be about to lead
};

}  // namespace canopy::cluster
