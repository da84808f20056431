// One watched subtree: the revision of each key that was reported, and how it is kept exact. Pure;
// not thread-safe; `events` outlives it. docs/reference/protocol.md, "Watching", specifies the
// states.
//
//   idle ──ask()──▶ behind ──caught_up──▶ live
//    ▲               │  ▲                  │
//    │               │  └────── gap ───────┤
//    └─ refused, stale answer, no link ────┴─ hole
//
// While the watch is behind, rounds of chunks bring it up to date; while it is live, the batches of
// its stream do. Each change is reported once. A map from key to revision serves that; it is the
// only thing here that grows, with the subtree itself.
//
// A watch never goes back in time: it ignores a chunk from before what it reported, and is
// requested again. It reports a partition anew when the cluster has lost what was reported: a proxy
// says that the partition has a new history, or for a minute no proxy knows anything as new.
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
  // Without progress for this long, the client tries another proxy.
  static constexpr base::Duration progress_timeout = std::chrono::seconds(10);
  // When no proxy knows what was reported for this long, it counts as lost.
  static constexpr base::Duration stale_timeout = std::chrono::minutes(1);

  Watch(WatchId id, wire::native::Subscription subscription, Events& events)
      : id_(id), subscription_(std::move(subscription)), events_(events) {}

  WatchId id() const { return id_; }
  bool idle() const { return state_ == State::idle; }
  bool live() const { return state_ == State::live; }
  // Of its latest request; 0 before the first.
  std::uint64_t request() const { return request_; }
  // Of its latest caught_up; 0 before the first.
  std::uint64_t stream() const { return stream_; }

  // Makes the watch idle, to be requested at this time: over a new connection, or again.
  void start(base::TimePoint now);
  void restart(base::TimePoint at);
  // The request, to be sent now.
  wire::native::Watch ask(std::uint64_t request, base::TimePoint now);

  // Replies to its latest request, and batches of its stream while it is live. False when the watch
  // must be requested again.
  bool on_chunk(const wire::native::Chunk& chunk, base::TimePoint now);
  bool on_caught_up(const wire::native::CaughtUp& caught_up, base::TimePoint now);
  void on_gap(const wire::native::Gap& gap, base::TimePoint now);
  bool on_batch(const wire::native::Batch& batch);

  // The process was stopped for so long: the timeouts of the proxy end later by that.
  void postpone(base::Duration sleep);
  // The proxy made no progress with the watch for too long. `progress`: when it last did with any
  // watch, for it serves them in turn.
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
    keyspace::Revision known{};     // as chunks and batches have said
    keyspace::Revision reported{};  // that of the newest entry reported, or above
  };
  using Partitions = std::map<std::string, Partition, std::less<>>;

  void begin_round();
  void apply_revisions(const wire::native::Revisions& revisions);
  bool fits(const wire::native::ChunkHeader& header) const;
  bool is_stale(const wire::native::ChunkHeader& header) const;
  void check_stale(const std::string& name, base::TimePoint now);
  void forget_revisions(const std::string& name);
  void begin_partition(const wire::native::ChunkHeader& header);
  void end_partition(const wire::native::ChunkHeader& header);
  void drop_unseen(const wire::native::ChunkHeader& header);
  void report_live(const wire::native::Entry& entry, bool last_of_flush);
  void report_chunk(const wire::native::Entry& entry);
  void report(const wire::native::Entry& entry, bool live);
  Partitions::iterator owner(std::string_view key);

  const WatchId id_;
  const wire::native::Subscription subscription_;
  Events& events_;

  State state_ = State::idle;
  base::TextMap<Held> entries_;
  Partitions partitions_;
  std::uint64_t request_ = 0;
  std::uint64_t stream_ = 0;
  std::uint64_t position_ = 0;  // of the stream: up to it everything was reported

  std::uint32_t round_ = 0;
  std::optional<wire::native::ChunkHeader> open_;  // of the partition that is arriving
  bool full_ = false;                              // a partition came in full since it was live
  bool synced_ = false;                            // once, at some proxy
  base::TimePoint due_{};                          // idle: to be requested
  base::TimePoint advanced_{};
  std::optional<base::TimePoint> stale_since_{};  // since then every reply was stale
};

}  // namespace canopy::client
