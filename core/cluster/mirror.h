// Keeps a copy of one partition in step with its leader: batches and chunks in, updates and
// requests out. Pure: no socket; time is an argument. Not thread-safe.
//
//   unknown ──first batch, tick or start──▶ syncing ──last chunk──▶ live
//                                           ▲  ▲                     │
//                                 retry ────┘  └──── hole, new epoch ┘
//
// Batches are contiguous. A hole is what a full queue dropped on the way: it is counted exactly and
// repaired by a replay (or, when the log no longer reaches back, by a snapshot, of which only what
// differs is passed on) before anything later is passed on. Batches that arrive meanwhile are held,
// within bounds; what is beyond them is simply one more hole.
//
// Of a partition that keeps no state nothing is kept here either: updates pass through, and what a
// replay cannot bring back is lost.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/wire/link.h"

namespace canopy::cluster {

struct MirrorSettings {
  bool retain = true;  // as the partition
  std::size_t held_updates = 200'000;
  std::size_t held_bytes = std::size_t{64} << 20;
  base::Duration retry = std::chrono::seconds(1);  // a sync without progress is asked again
  // Syncs are numbered from here: what is answered to an earlier mirror of the same link is not for
  // this one.
  std::uint64_t first_request = 0;
};

class Mirror {
 public:
  enum class State { unknown, syncing, live };

  // What a call asks of its caller; calls add to it.
  struct Effects {
    std::vector<keyspace::UpdatePtr> applied{};  // passed on, in this order
    std::vector<std::string> requests{};         // encoded, to the leader
    std::uint64_t received = 0;                  // updates that came in batches
    std::uint64_t missed = 0;                    // updates lost between leader and here
    std::uint64_t holes = 0;
    std::uint64_t replays = 0;  // repairs completed, by kind
    std::uint64_t snapshots = 0;
  };

  explicit Mirror(std::string partition, MirrorSettings settings = {});

  // Asks for what is missing; called once the way to the leader exists, and again when it changed.
  void start(base::TimePoint now, Effects& out);
  void on_batch(wire::Batch batch, base::TimePoint now, Effects& out);
  void on_chunk(const wire::Chunk& chunk, base::TimePoint now, Effects& out);
  void on_refused(const wire::Refused& refused);
  // At least a few times a second.
  void tick(base::TimePoint now, Effects& out);

  State state() const { return state_; }
  // Whether the tree holds the partition as of revision(): true from the first sync on, also while
  // a hole is being repaired.
  bool ready() const { return ready_; }
  keyspace::Revision revision() const { return revision_; }
  const keyspace::Tree& tree() const { return tree_; }
  // By which, with the tree, one can tell what changed since any revision from its floor on.
  const keyspace::Tombstones& tombstones() const { return tombstones_; }
  const std::string& partition() const { return partition_; }
  // Why the leader does not serve the partition; empty when it does.
  const std::string& refusal() const { return refusal_; }
  std::size_t held_updates() const { return held_updates_; }

 private:
  void count_missed(const wire::Batch& batch, Effects& out);
  void begin_sync(base::TimePoint now, Effects& out);
  void hold(wire::Batch batch);
  void apply_tail(wire::Batch& batch, Effects& out);
  void apply(const keyspace::UpdatePtr& update, Effects& out);
  bool stage(const wire::Chunk& chunk);
  void take_snapshot(const wire::Chunk& last, Effects& out);
  void finish_sync(base::TimePoint now, Effects& out);

  std::string partition_;
  MirrorSettings settings_;
  State state_ = State::unknown;
  bool ready_ = false;
  keyspace::Tree tree_;
  keyspace::Tombstones tombstones_;
  keyspace::Revision revision_;
  // The end of the last batch that arrived, whatever became of it: what a hole is measured from.
  keyspace::Revision seen_;

  std::uint64_t request_ = 0;  // the sync under way
  base::TimePoint progress_{};
  struct Staging {
    keyspace::Revision cut{};
    keyspace::Tree tree{};
    std::vector<keyspace::UpdatePtr> deletions{};  // in ascending order of revisions
  };
  std::optional<Staging> staging_;  // a snapshot that is arriving
  std::deque<wire::Batch> held_;
  std::size_t held_updates_ = 0;
  std::size_t held_bytes_ = 0;
  std::string refusal_;
};

}  // namespace canopy::cluster
