// One watched subtree: what its watcher holds of it, and how that is kept exact. Pure.
//
//   away ──link──▶ listening ──a frame──▶ wanting ──fetch()──▶ fetching ──last chunk──▶ live
//                                           ▲                   │                        │
//                                           └── refused, stuck ─┴── hole, new incarnation ┘
//
// Batches that come while a fetch is under way are held and joined on at the position that its last
// chunk names; what came before it was sent is part of its answer. The watcher is told each change
// once: an entry that it holds already, or a newer one of the same key, is not told again. What
// makes that possible is a map from key to revision, the only thing here that grows, with the
// subtree itself.
//
// Nobody goes back in time: an answer from before what has been told is not taken, but asked for
// again. The partition is told anew when the cluster has lost what was told: a proxy says that it
// has a new history, or for long no proxy knows anything as new.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>

#include "client/events.h"
#include "core/base/clock.h"
#include "core/wire/native.h"

namespace canopy::client {

// Lets a map of strings be searched by a view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

class Watch {
 public:
  // Of frames held while a fetch is under way; beyond it they are let go and the fetch repeated.
  static constexpr std::size_t max_held_bytes = std::size_t{16} << 20;
  // Holes that the proxy is still to be told of; of further ones it learns the number only.
  static constexpr std::size_t max_gaps = 16;
  static constexpr std::uint32_t credit = 4;
  static constexpr base::Duration chunk_silence = std::chrono::seconds(5);
  // In which a proxy must bring the watch on, or another is tried.
  static constexpr base::Duration patience = std::chrono::seconds(10);
  // A stream that says nothing for so long is asked for the reason, by a fetch: whoever may not
  // read it is told so then.
  static constexpr base::Duration mute = std::chrono::milliseconds(1500);
  // After which what was told is believed to be lost, when nobody knows of it.
  static constexpr base::Duration doubt = std::chrono::minutes(1);

  Watch(WatchId id, wire::native::Subscription subscription, Events& events, std::uint64_t seed);

  WatchId id() const { return id_; }
  const std::string& topic() const { return topic_; }
  // Of its latest fetch; 0 before the first.
  std::uint64_t request() const { return request_; }

  // The stream is subscribed at a proxy, perhaps another than before. `flowing`: for some time, and
  // something has come; else its first frame is waited for.
  void listen(bool flowing, base::TimePoint now);
  // The link is gone.
  void rest();

  // A frame of the stream: what it says, and the frame itself.
  void on_batch(const wire::native::Batch& batch, std::string_view frame, base::TimePoint now);

  // Whether a fetch is due.
  bool wants(base::TimePoint now) const { return state_ == State::wanting && now >= retry_at_; }
  // The one that is, under this number.
  wire::native::Fetch fetch(std::uint64_t request, base::TimePoint now);
  bool fetching() const { return state_ == State::fetching; }
  // Its turn to fetch has not come: that is no delay of the proxy's.
  void wait(base::TimePoint now) { advanced_ = now; }
  // The chunks and refusals of its latest fetch. True when a credit is to be granted for the chunk.
  bool on_chunk(const wire::native::Chunk& chunk, base::TimePoint now);
  // Of a retriable kind.
  void on_refusal(wire::Fault fault, base::TimePoint now);

  void tick(base::TimePoint now);
  // The time has been standing still for us, so nobody was late.
  void forgive(base::Duration sleep);
  // The proxy has not brought the watch on for too long.
  bool stuck(base::TimePoint now) const { return !resting() && now - advanced_ > patience; }
  bool live() const { return state_ == State::live; }

 private:
  enum class State { away, listening, wanting, fetching, live };
  using Mode = wire::native::ChunkHeader::Mode;
  using More = wire::native::ChunkHeader::More;

  struct Held {
    keyspace::Revision revision{};
    std::uint32_t fetch = 0;  // the last one whose chunks held the key
  };
  struct Partition {
    keyspace::Revision known{};  // as said by chunks and batches
    keyspace::Revision told{};   // that of the newest entry told, or above
  };
  using Partitions = std::map<std::string, Partition, std::less<>>;
  struct Position {
    std::uint64_t incarnation = 0;
    std::uint64_t end = 0;
  };

  bool resting() const { return state_ == State::away || state_ == State::live; }
  bool see(const wire::native::BatchHeader& header);
  void want(base::TimePoint at);
  void want_later(base::TimePoint now);
  void hold(std::string_view frame);
  void let_go();
  bool take(const wire::native::Batch& batch);
  void take_revisions(const wire::native::Revisions& revisions);
  void take_held(base::TimePoint now);
  bool fits(const wire::native::ChunkHeader& header) const;
  bool is_stale(const wire::native::ChunkHeader& header) const;
  void doubt_what_was_told(const std::string& name, base::TimePoint now);
  bool on_void(const wire::native::ChunkHeader& header, base::TimePoint now);
  void forget_revisions(const std::string& name);
  void begin_partition(const wire::native::ChunkHeader& header);
  void end_partition(const wire::native::ChunkHeader& header);
  void drop_unseen(const wire::native::ChunkHeader& header);
  void end_fetch(const wire::native::ChunkHeader& header, base::TimePoint now);
  void tell_live(const wire::native::Entry& entry, bool last_of_flush);
  void tell_fetched(const wire::native::Entry& entry);
  void tell(const wire::native::Entry& entry, bool live);
  Partitions::iterator owner(std::string_view key);

  const WatchId id_;
  const wire::native::Subscription subscription_;
  const std::string topic_;
  Events& events_;
  std::minstd_rand random_;

  State state_ = State::away;
  std::unordered_map<std::string, Held, TextHash, std::equal_to<>> entries_;
  Partitions partitions_;

  Position position_;                   // up to which the stream is part of what was told
  std::optional<Position> seen_;        // the end of the last batch that arrived
  std::deque<wire::native::Gap> gaps_;  // not yet told to the proxy
  std::deque<std::string> held_;
  std::size_t held_bytes_ = 0;

  // The fetch under way.
  std::uint64_t request_ = 0;
  std::uint32_t fetches_ = 0;
  std::uint32_t next_chunk_ = 0;
  std::optional<wire::native::ChunkHeader> open_;  // of the partition that is arriving
  bool full_ = false;                              // some partition came whole
  base::TimePoint retry_at_{};  // listening: without a frame; wanting: at the earliest
  base::TimePoint chunk_due_{};
  base::TimePoint advanced_{};
  bool synced_ = false;                           // once, at some proxy
  std::optional<base::TimePoint> stale_since_{};  // answers have been, without exception
};

}  // namespace canopy::client
