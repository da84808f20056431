// One watched subtree: what its watcher holds of it, and how that is kept exact. Pure.
//
//   idle ──ask()──▶ behind ──caught_up──▶ live
//    ▲               │  ▲                  │
//    │               │  └────── gap ───────┤
//    └─ refused, stale answer, no link ────┴─ hole
//
// While the watch is behind, rounds of chunks bring it on; once it is live, the batches of its
// stream do. The watcher is told each change once: an entry that it holds already, or a newer one
// of the same key, is not told again. What makes that possible is a map from key to revision, the
// only thing here that grows, with the subtree itself.
//
// A watch never goes back in time: a chunk from before what has been told is not taken, and the
// watch is asked for again. A partition is told anew when the cluster has lost what was told: a
// proxy says that it has a new history, or no proxy knows anything as new for a minute.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "client/events.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/wire/native.h"

namespace canopy::client {

class Watch {
 public:
  // In which a proxy must bring the watch on, or another is tried.
  static constexpr base::Duration patience = std::chrono::seconds(10);
  // After which what was told is believed to be lost, when no proxy knows of it.
  static constexpr base::Duration doubt = std::chrono::minutes(1);

  Watch(WatchId id, wire::native::Subscription subscription, Events& events)
      : id_(id), subscription_(std::move(subscription)), events_(events) {}

  WatchId id() const { return id_; }
  bool idle() const { return state_ == State::idle; }
  bool live() const { return state_ == State::live; }
  // Of its latest request; 0 before the first.
  std::uint64_t request() const { return request_; }
  // Of its latest caught_up; 0 before the first.
  std::uint64_t stream() const { return stream_; }

  // The watch is idle, and to be asked for at this time: over a new connection, or again.
  void start(base::TimePoint now);
  void restart(base::TimePoint at);
  // The request, sent now. It may have waited for its turn.
  wire::native::Watch ask(std::uint64_t request, base::TimePoint now);

  // Answers to its latest request, and batches of its stream while it is live. False when it must
  // be asked for again.
  bool on_chunk(const wire::native::Chunk& chunk, base::TimePoint now);
  bool on_caught_up(const wire::native::CaughtUp& caught_up, base::TimePoint now);
  void on_gap(const wire::native::Gap& gap, base::TimePoint now);
  bool on_batch(const wire::native::Batch& batch);

  // The process was stopped for so long, which was no delay of the proxy's.
  void forgive(base::Duration sleep);
  // The proxy has not brought the watch on for too long. `progress`: when it last brought any watch
  // on, for it serves them in turn.
  bool stuck(base::TimePoint progress, base::TimePoint now) const;

 private:
  enum class State { idle, behind, live };
  using Mode = wire::native::ChunkHeader::Mode;
  using More = wire::native::ChunkHeader::More;

  struct Held {
    keyspace::Revision revision{};
    std::uint32_t round = 0;  // the last one whose chunks held the key
  };
  struct Partition {
    keyspace::Revision known{};  // as chunks and batches have said
    keyspace::Revision told{};   // that of the newest entry told, or above
  };
  using Partitions = std::map<std::string, Partition, std::less<>>;

  void begin_round();
  void take_revisions(const wire::native::Revisions& revisions);
  bool fits(const wire::native::ChunkHeader& header) const;
  bool is_stale(const wire::native::ChunkHeader& header) const;
  void doubt_what_was_told(const std::string& name, base::TimePoint now);
  void forget_revisions(const std::string& name);
  void begin_partition(const wire::native::ChunkHeader& header);
  void end_partition(const wire::native::ChunkHeader& header);
  void drop_unseen(const wire::native::ChunkHeader& header);
  void tell_live(const wire::native::Entry& entry, bool last_of_flush);
  void tell_chunk(const wire::native::Entry& entry);
  void tell(const wire::native::Entry& entry, bool live);
  Partitions::iterator owner(std::string_view key);

  const WatchId id_;
  const wire::native::Subscription subscription_;
  Events& events_;

  State state_ = State::idle;
  base::TextMap<Held> entries_;
  Partitions partitions_;
  std::uint64_t request_ = 0;
  std::uint64_t stream_ = 0;
  std::uint64_t position_ = 0;  // up to which the stream is part of what was told

  std::uint32_t round_ = 0;
  std::optional<wire::native::ChunkHeader> open_;  // of the partition that is arriving
  bool full_ = false;                              // some partition came whole since it was live
  bool synced_ = false;                            // once, at some proxy
  base::TimePoint due_{};                          // idle: to be asked for
  base::TimePoint advanced_{};
  std::optional<base::TimePoint> stale_since_{};  // answers have been, without exception
};

}  // namespace canopy::client
