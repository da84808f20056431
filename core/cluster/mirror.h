// Keeps a copy of one partition in step with its leader: batches and chunks in, updates and
// requests out. Pure: no socket; time is an argument. Not thread-safe.
//
//   unknown ──first batch or start──▶ syncing ──last chunk──▶ live
//                                      ▲  ▲                     │
//                       silence: again ┘  └─ hole, other lineage ┘
//
// Batches are contiguous. A hole is what a full queue dropped on the way: it is counted exactly and
// repaired by a replay (or, when the log no longer reaches back, by a snapshot, of which only what
// differs is passed on) before anything later is passed on. Batches that arrive meanwhile are held,
// within bounds; what is beyond them is simply one more hole.
//
// The copy belongs to one lineage, the leadership that its revisions come from. A batch of another
// lineage only makes the mirror ask: it may come from a new leader, whatever its epoch, or be the
// last of a former one, still on its way. The answer decides, since only the process that leads now
// answers what is asked now. An answer of another lineage is a replay, when what is here is part of
// the new leader's history, or a snapshot, of which the difference is passed on. So a lineage that
// was left does not come back with its late batches: they ask at most once per `retry`, and the
// answer does not change.
//
// A sync that is not answered is sent again under the same request, at growing intervals: a leader
// that is still at it goes on where it was, and what has arrived is kept.
//
// At a split entry, or when its owner hears of the split otherwise, the mirror is divided: what it
// holds of the subtree becomes the beginning of another mirror, and is neither told as deleted nor
// looked at again here. The other one passes on what its leader tells, and can be read once that
// leader has answered: so it is at or after the split.
//
// Of a partition that keeps no state nothing is kept here either: updates pass through, and what a
// replay cannot bring back is lost.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/keyspace/splits.h"
#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/wire/link.h"

namespace canopy::cluster {

struct MirrorSettings {
  bool retain = true;  // as the partition
  std::size_t held_updates = 200'000;
  std::size_t held_bytes = std::size_t{64} << 20;
  // A sync without progress is sent again after this time, doubled each time up to `longest_retry`.
  base::Duration retry = std::chrono::seconds(1);
  base::Duration longest_retry = std::chrono::seconds(8);
  // Syncs are numbered from here: what is answered to an earlier mirror of the same link is not for
  // this one.
  std::uint64_t first_request = 0;
};

class Mirror {
 public:
  enum class State { unknown, syncing, live };

  // What a mirror that was divided held of a subtree.
  struct SplitOff {
    std::string subtree{};
    bool ready = false;  // else it held nothing yet
    keyspace::Tree tree{};
    keyspace::Tombstones tombstones{};
    keyspace::Splits splits{};
    keyspace::Revision revision{};
    std::uint64_t lineage = 0;
    std::uint32_t highest_epoch = 0;
    bool epoch_reused = false;
  };

  // What a call asks of its caller; calls add to it.
  struct Effects {
    std::vector<keyspace::UpdatePtr> applied{};  // passed on, in this order
    std::vector<SplitOff> split_off{};           // after `applied`
    std::vector<std::string> requests{};         // encoded, to the leader
    std::uint64_t received = 0;                  // updates that came in batches
    std::uint64_t missed = 0;                    // updates lost between leader and here
    std::uint64_t holes = 0;
    std::uint64_t replays = 0;  // repairs completed, by kind
    std::uint64_t snapshots = 0;
    // The copy has been replaced by that of another lineage that reuses an epoch, or lacks updates
    // that were passed on: revisions that clients know of this partition mean nothing any more.
    bool new_history = false;
  };

  explicit Mirror(std::string partition, MirrorSettings settings = {});
  Mirror(SplitOff begin, MirrorSettings settings);

  // Divides it, at its present revision. Of a subtree that is split off already it holds nothing.
  SplitOff split_off(const std::string& subtree);

  // Asks for what is missing; called once the way to the leader exists, and again when it changed.
  void start(base::TimePoint now, Effects& out);
  void on_batch(wire::Batch batch, base::TimePoint now, Effects& out);
  void on_chunk(const wire::Chunk& chunk, base::TimePoint now, Effects& out);
  void on_refused(const wire::Refused& refused);
  // At least a few times a second.
  void tick(base::TimePoint now, Effects& out);

  State state() const { return state_; }
  // Whether the tree holds the partition as of revision(): true from the first sync on, also while
  // a hole is being repaired. Of a part of another mirror: only once its own leader has answered.
  bool ready() const { return ready_ && !part_; }
  keyspace::Revision revision() const { return revision_; }
  std::uint64_t lineage() const { return lineage_; }
  // Whether two lineages have used the epoch of revision() or one above it, or this lineage lacks
  // updates that were passed on: what a client knows of the partition may be of either.
  bool epoch_reused() const { return epoch_reused_; }
  const keyspace::Tree& tree() const { return tree_; }
  // By which, with the tree, one can tell what changed since any revision from its floor on.
  const keyspace::Tombstones& tombstones() const { return tombstones_; }
  const std::string& partition() const { return partition_; }
  // What was split off, as far as this mirror knows by now.
  const keyspace::Splits& splits() const { return splits_; }
  // Why the leader does not serve the partition; empty when it does.
  const std::string& refusal() const { return refusal_; }
  std::size_t held_updates() const { return held_updates_; }
  std::size_t held_bytes() const { return held_bytes_; }

 private:
  // What has been heard of a lineage in batches.
  struct Heard {
    std::uint64_t lineage = 0;  // 0: nothing
    // The end of the last batch, whatever became of it: what a hole is measured from.
    keyspace::Revision end{};
    std::optional<base::TimePoint> asked{};  // a sync was sent after it had been heard of
  };

  void count_missed(const wire::Batch& batch, Effects& out);
  void begin_sync(base::TimePoint now, Effects& out);
  void ask(base::TimePoint now, Effects& out);
  bool continues(const wire::Batch& batch) const;
  bool worth_asking(base::TimePoint now) const;
  void hold(wire::Batch batch);
  void apply_tail(wire::Batch& batch, Effects& out);
  void apply(const keyspace::UpdatePtr& update, Effects& out);
  void split_at(const keyspace::UpdatePtr& split, Effects& out);
  bool replay(const wire::Chunk& chunk, Effects& out);
  bool stage(const wire::Chunk& chunk);
  void follow(std::uint64_t lineage);
  void take_snapshot(const wire::Chunk& last, Effects& out);
  void finish_sync(base::TimePoint now, Effects& out);

  std::string partition_;
  MirrorSettings settings_;
  State state_ = State::unknown;
  bool ready_ = false;
  bool part_ = false;  // it holds what another mirror held
  keyspace::Splits splits_;
  keyspace::Tree tree_;
  keyspace::Tombstones tombstones_;
  keyspace::Revision revision_;
  std::uint64_t lineage_ = 0;  // of tree, deletions and revision; 0: none yet
  std::uint32_t highest_epoch_ = 0;
  bool epoch_reused_ = false;
  Heard own_;    // of lineage_
  Heard other_;  // the last one heard that is not

  std::uint64_t request_ = 0;     // the sync under way
  std::uint32_t next_chunk_ = 0;  // of its answer
  base::TimePoint progress_{};
  base::Duration patience_{};  // without progress, until it is sent again
  struct Staging {
    std::uint64_t lineage = 0;
    keyspace::Revision cut{};
    keyspace::Tree tree{};
    std::vector<keyspace::UpdatePtr> splits{};
    std::vector<keyspace::UpdatePtr> deletions{};  // in ascending order of revisions
  };
  std::optional<Staging> staging_;  // a snapshot that is arriving
  std::deque<wire::Batch> held_;
  std::size_t held_updates_ = 0;
  std::size_t held_bytes_ = 0;
  std::string refusal_;
};

}  // namespace canopy::cluster
