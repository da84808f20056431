// Keeps a copy of one partition in step with its leader: batches and chunks in, updates and
// requests out. Pure: no socket; time is an argument. Not thread-safe.
//
//   unknown ──first batch or start──▶ syncing ──last chunk──▶ live
//                                      ▲  ▲                     │
//                       timeout: again ┘  └─ hole, other lineage ┘
//
// Batches are contiguous. A hole is the updates that a full queue dropped on the way. The mirror
// counts it exactly, and repairs it by a replay before it passes on anything later. If the log no
// longer reaches back, a snapshot repairs it, and the mirror passes on only the difference. Batches
// that arrive meanwhile are held, within bounds; beyond them they make one more hole.
//
// The copy belongs to one lineage, the leadership that its revisions come from. A batch of another
// lineage only makes the mirror send a sync: the batch may come from a new leader, whatever its
// epoch, or be a late one of a former leader. The reply decides, because only the present leader
// answers. A reply of another lineage is a replay, if this copy is part of the new leader's
// history, or a snapshot, of which the mirror passes on the difference. So late batches of a former
// lineage do no harm: they cause at most one sync per `retry`, and the reply does not change.
//
// An unanswered sync is sent again under the same request, at growing intervals. A leader that is
// still answering continues, and the mirror keeps the chunks that have arrived.
//
// At a split entry, or when its owner learns of the split otherwise, the mirror is divided: its
// entries of the subtree become the beginning of another mirror, and are not reported as deleted.
// The new mirror passes on what its leader sends. It can be read once that leader has answered,
// because it is then at or after the split.
//
// A partition without state (`retain: false`) has none here either: updates pass through, and what
// a replay cannot repeat is lost.
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
  // Syncs are numbered from here, so that replies to an earlier mirror of the same link are
  // ignored.
  std::uint64_t first_request = 0;
};

class Mirror {
 public:
  enum class State { unknown, syncing, live };

  // The part of a divided mirror that is below a subtree.
  struct SplitOff {
    std::string subtree{};
    bool ready = false;  // false: the mirror held nothing yet
    keyspace::Tree tree{};
    keyspace::Tombstones tombstones{};
    keyspace::Splits splits{};
    keyspace::Revision revision{};
    std::uint64_t lineage = 0;
    std::uint32_t highest_epoch = 0;
    bool epoch_reused = false;
  };

  // What the caller must do; calls append.
  struct Effects {
    std::vector<keyspace::UpdatePtr> applied{};  // passed on, in this order
    std::vector<SplitOff> split_off{};           // after `applied`
    std::vector<std::string> requests{};         // encoded, to the leader
    std::uint64_t received = 0;                  // updates that came in batches
    std::uint64_t missed = 0;                    // updates lost between leader and here
    std::uint64_t holes = 0;
    std::uint64_t replays = 0;  // repairs completed, by kind
    std::uint64_t snapshots = 0;
    // The copy was replaced by that of another lineage that reuses an epoch, or lacks updates that
    // were passed on. Revisions of this partition that clients know are void.
    bool new_history = false;
  };

  explicit Mirror(std::string partition, MirrorSettings settings = {});
  Mirror(SplitOff begin, MirrorSettings settings);

  // Divides the mirror at its present revision. If the subtree is already split off, it is empty.
  SplitOff split_off(const std::string& subtree);

  // Requests the missing updates. Call once the connection to the leader exists, and again when it
  // changes.
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
  // Whether two lineages have used the epoch of revision() or a higher one, or this lineage lacks
  // updates that were passed on. A client's revision may then be of either lineage.
  bool epoch_reused() const { return epoch_reused_; }
  const keyspace::Tree& tree() const { return tree_; }
  // Deletions: with the tree they yield the changes since any revision from their floor on.
  const keyspace::Tombstones& tombstones() const { return tombstones_; }
  const std::string& partition() const { return partition_; }
  // The subtrees that were split off, as far as this mirror knows.
  const keyspace::Splits& splits() const { return splits_; }
  // Why the leader does not serve the partition; empty when it does.
  const std::string& refusal() const { return refusal_; }
  std::size_t held_updates() const { return held_updates_; }
  std::size_t held_bytes() const { return held_bytes_; }

 private:
  // The batches received of a lineage.
  struct Heard {
    std::uint64_t lineage = 0;  // 0: nothing
    // The end of the last batch, applied or not: holes are measured from here.
    keyspace::Revision end{};
    std::optional<base::TimePoint> asked{};  // time of the sync sent because of it
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
  bool part_ = false;  // it began as a part of another mirror
  keyspace::Splits splits_;
  keyspace::Tree tree_;
  keyspace::Tombstones tombstones_;
  keyspace::Revision revision_;
  std::uint64_t lineage_ = 0;  // of tree, deletions and revision; 0: none yet
  std::uint32_t highest_epoch_ = 0;
  bool epoch_reused_ = false;
  Heard own_;    // of lineage_
  Heard other_;  // of the last other lineage

  std::uint64_t request_ = 0;     // the sync under way
  std::uint32_t next_chunk_ = 0;  // of its answer
  base::TimePoint progress_{};
  base::Duration patience_{};  // without progress, until the sync is sent again
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
