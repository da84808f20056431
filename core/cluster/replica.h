// One replica of a partition: keeps its copy in step with the leader's, or leads.
//
// What holds (Kafka's in-sync replicas; the coordinator is the referee):
// - An entry is committed when it is stored by every member of the in-sync set, and the set has at
//   least `min_in_sync` members. Only then is it applied, published and answered.
// - The record of the partition (partition_record.h) is changed by compare-and-set before anything
//   is committed without a removed member. A member is added by the leader once it has stored all
//   that may be committed, the start of the leader's epoch included; while it is about to be added
//   its acknowledgements are waited for.
// - Only a member of the set can lead, and each leadership is an epoch of its own: so a leader has
//   all that was ever committed. No clock is trusted for this.
// - A leader commits nothing after the deadline of its lease, unless no other replica is placed.
//
//   follower ──record names another leader──▶ asks it (follow), stores what comes, acknowledges
//       │
//       └─ the leader's shard is gone, and this replica is in the set: takes epoch + 1 by
//          compare-and-set; once taken it leads
//
// Of several candidates the one that placement prefers asks first. A leader that is not the
// preferred one hands over once the preferred one has been in the set for `prefer_after`.
//
// An operator changes the placement, in the record, by compare-and-set. Replicas that are newly
// placed join the set as others do. Those that are placed no more leave it once every placed shard
// is in the set; a leader hands over first. Then their copies are not needed: see dispensable().
//
// An operator orders a split, in the record; the leader's owner proposes a split entry. A replica
// that applies it takes the subtree out of its copy: its replica of the new partition (SplitOff).
// The leader's owner has that create its record, with the members of the set: they have stored the
// split entry. Until then no replica joins the set.
//
// What a replica asks of its owner comes as effects. Storage operations are carried out in their
// order; each is reported by stored() once it lasts as the partition's durability says. Messages of
// a connection keep their order, and may be lost with it.
// Pure: no socket, time is an argument. Not thread-safe.
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
    // Shards, preferred first, while the record names none; the own one need not be among them.
    std::vector<std::string> placement{};
    std::size_t min_in_sync = 1;
    bool retain = true;  // false: entries are ordered and published, and no tree is kept
    // In memory: of a partition on one shard a copy that started empty may lead at once.
    bool forgetful = false;
    keyspace::ReplicaLog::Limits log{};
    // A member that has not stored what waits for so long leaves the set.
    base::Duration lag = std::chrono::seconds(2);
    base::Duration prefer_after = std::chrono::seconds(10);
    // Each less preferred candidate waits so much longer.
    base::Duration election_step = std::chrono::milliseconds(200);
    // Members of the set that have not taken over for so long, although their shards are there, are
    // taken to be lost: their copies may have been replaced.
    base::Duration takeover = std::chrono::seconds(5);
    // A follow that brings nothing is said again, and what is stored as well.
    base::Duration retry = std::chrono::seconds(1);
    // 64 random bits, for the lineage of a leadership.
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
    std::uint64_t ticket = 0;  // ascending; given back with stored()
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

  // A partition that begins at a split entry, as this shard keeps it. Of the same identity.
  struct SplitOff {
    std::string subtree{};
    Recovered copy{};
    std::vector<keyspace::UpdatePtr> recent{};  // updates of the log, oldest first
  };
  // Where the record of a partition that was split off comes from.
  struct Origin {
    std::string parent{};
    std::vector<ReplicaId> members{};  // each has stored the split entry
    std::vector<std::string> placement{};
  };
  // What a call asks of its owner; calls add to it.
  struct Effects {
    std::vector<Store> store{};
    std::vector<Message> messages{};     // to leaders; what is for followers: see next_for()
    std::optional<Proposal> proposal{};  // of the record: at most one is under way
    std::vector<keyspace::LogEntry> committed{};  // newly, in order; applied already
    std::vector<SplitOff> split_off{};
    bool leadership_changed = false;  // leads(), epoch() or lineage()
    bool replaced = false;            // by an Install: the copy is another one
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
  // The connection for following that shard is new, or gone: what was under way on it is lost.
  void on_link(const std::string& shard, bool up, base::TimePoint now, Effects& out);
  // The same of that by which it follows.
  void on_follower_gone(const std::string& shard, base::TimePoint now, Effects& out);
  void on_message(const std::string& from, const wire::ToLeader& message, base::TimePoint now,
                  Effects& out);
  void on_message(const std::string& from, wire::ToFollower message, base::TimePoint now,
                  Effects& out);
  // At least a few times a second.
  void tick(base::TimePoint now, Effects& out);

  // Of a partition that was split off and has no record: the origin() of its parent, from here.
  void create(Origin origin, base::TimePoint now, Effects& out);
  // One that was split off this one has a record.
  void on_split_recorded(const std::string& subtree) { unrecorded_.erase(subtree); }

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
  // operator may say so. Does nothing while another replica may lead without loss.
  void accept_loss(base::TimePoint now, Effects& out);

  // --- state --------------------------------------------------------------------------------
  const std::string& partition() const { return settings_.partition; }
  // Leads, and what it has committed is all that was ever published or answered, so that it may be
  // read, and writes proposed: its lease stands, the coordinator has taken its record since the
  // lease began to stand, and the entries of former epochs are committed.
  bool leads(base::TimePoint now) const;
  // Why nothing can be proposed or committed by now, for people; empty: it can. On a follower that
  // is in order: empty.
  std::string trouble(base::TimePoint now) const;
  // Whether there are at least min_in_sync members, so that writes may be proposed.
  bool enough_in_sync() const;
  std::uint32_t epoch() const;    // of the leadership that this replica takes part in; 0: none yet
  std::uint64_t lineage() const;  // of that
  // The owner may forget this replica and its copy: it is placed no more, and is not in the set,
  // where every placed shard is.
  bool dispensable() const;
  const std::optional<PartitionRecord>& record() const { return record_; }
  keyspace::Revision committed() const { return committed_; }
  const keyspace::ReplicaLog& log() const { return log_; }
  const keyspace::Tree& tree() const { return tree_; }
  const keyspace::Tombstones& tombstones() const { return tombstones_; }
  const keyspace::Splits& splits() const { return splits_; }
  // Split-off partitions that are not known to have a record; and their origin, of a leader.
  const std::set<std::string>& unrecorded() const { return unrecorded_; }
  std::optional<Origin> origin() const;
  const RequestTable& requests() const { return requests_; }
  // By the last record that was acted on, or else as it is configured.
  const std::vector<std::string>& placement() const;
  // Of a leader: how many updates each other replica of the placement has not stored yet.
  std::map<std::string, std::uint64_t> lags() const;

 private:
  // The committed state on its way to a follower.
  struct SnapshotWalk {
    std::vector<keyspace::UpdatePtr> splits{};
    std::size_t next_split = 0;
    keyspace::TreeView::Cursor entry;
    std::vector<keyspace::AppliedRequest> requests{};
    std::size_t next_request = 0;
    keyspace::Revision cut{};
    std::vector<keyspace::EpochEnd> history{};  // told with the first chunk
  };
  // A replica as the leader sees it.
  struct Follower {
    std::string identity{};
    keyspace::Revision acknowledged{};  // lasts there
    // The oldest that it has not stored is not after `mark`, and waits since then.
    keyspace::Revision mark{};
    std::optional<base::TimePoint> waiting_since{};

    bool open = false;       // its session
    bool confirmed = false;  // it has acknowledged something in this session
    std::uint64_t session = 0;
    std::uint64_t number = 0;   // of the next message
    keyspace::Revision sent{};  // up to here
    keyspace::Revision told{};  // to be committed
    std::optional<SnapshotWalk> snapshot{};
    std::deque<std::pair<keyspace::Revision, std::size_t>> in_flight{};  // bytes up to a position
    std::size_t bytes_in_flight = 0;
  };
  // The session with the leader that this replica follows.
  struct Following {
    std::uint64_t session = 0;
    base::TimePoint said{};     // the follow, or what is stored
    bool from_nothing = false;  // the own log is of no use: a snapshot is wanted
    bool answered = false;
    std::uint64_t number = 0;   // of the next message
    keyspace::Revision told{};  // to be committed
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

  // replica.cc: the record, and the own copy.
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

  // replica_election.cc: who does not lead.
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

  // replica_feed.cc: what followers are sent.
  void answer(const std::string& from, const wire::Follow& follow);
  void answer(const std::string& from, const wire::Stored& stored);
  void refuse(const std::string& from, std::uint64_t session);
  void begin_snapshot(Follower& follower) const;
  bool has_message(const Follower& follower) const;
  wire::Append next_append(Follower& follower) const;
  wire::Snapshot next_snapshot(Follower& follower) const;

  // replica_follower.cc
  void follow(bool from_nothing, base::TimePoint now, Effects& out);
  void say_follow(Effects& out) const;
  void say_stored(Effects& out) const;
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
  // What the store has been told to be committed, perhaps with being stored.
  keyspace::Revision committed_by_store_;
  keyspace::Revision stored_;
  std::uint64_t ticket_ = 0;
  // What lasts once a ticket does, in order.
  std::deque<std::pair<std::uint64_t, keyspace::Revision>> storing_;

  // As the coordinator tells it.
  bool heard_ = false;
  std::optional<PartitionRecord> record_;
  std::uint64_t version_ = 0;
  std::optional<std::uint32_t> heard_epoch_;  // the highest of any record
  std::optional<std::set<std::string>> alive_;
  std::optional<base::TimePoint> deadline_;
  std::uint32_t least_epoch_ = 0;
  std::set<std::string> links_;

  std::optional<PartitionRecord> remembered_;  // the last one that was acted on
  std::optional<Proposal> proposal_;           // under way
  bool lapsed_ = true;      // there was a moment without a lease since it was made
  bool confirmed_ = false;  // one that names this leader was taken, and the lease stands since
  // A proposal was taken: records up to this version are older.
  std::optional<std::uint64_t> awaited_after_;
  base::TimePoint blocked_until_{};  // a proposal was refused, and no other record is known yet
  Leadership candidacy_{};           // as last proposed
  bool accepts_loss_ = false;
  std::optional<base::TimePoint> vacant_since_;
  std::optional<base::TimePoint> leaderless_since_;
  std::optional<ReplicaId> gone_;  // this leader's copy is no more

  std::uint32_t epoch_ = 0;
  std::uint64_t lineage_ = 0;
  bool leading_ = false;
  std::tuple<bool, std::uint32_t, std::uint64_t> reported_{};
  base::TimePoint settled_{};  // when the last call was

  // Of a leader.
  std::map<std::string, Follower> followers_;
  std::optional<ReplicaId> joining_;  // is to become a member, and is waited for
  std::optional<std::pair<ReplicaId, base::TimePoint>> prefers_;  // to itself, since then
  bool handing_over_ = false;

  // Of a follower.
  std::optional<Following> following_;
  std::uint64_t last_session_ = 0;

  std::map<std::string, wire::Unled> unled_;   // to be sent
  std::map<std::string, wire::Follow> early_;  // in an epoch that this replica may be about to lead
};

}  // namespace canopy::cluster
