// The streams of the native protocol, one for each distinct subscription: gathers updates in
// batches and passes them to the watches. Pure: time is an argument, batches go to
// Watcher::on_batch(). Not thread-safe. Format: docs/reference/protocol.md, core/wire/native.h.
//
// An update is encoded once and appended to all its streams, found by one hash look-up per path
// segment. A batch is encoded once, as a whole ZMTP message that all watches share. Positions count
// the updates of a stream. A stream lives while it has watches; its number is never used again.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/keyspace/update.h"
#include "core/net/outbound_queue.h"
#include "core/wire/native.h"
#include "proxy/compression.h"
#include "proxy/mirror_lease.h"
#include "proxy/partitions.h"

namespace canopy::proxy {

class Streams {
  struct Stream;

 public:
  static constexpr std::size_t max_streams = 100'000;
  static constexpr base::Duration idle = std::chrono::milliseconds(500);
  // Bytes that all `latest` streams may hold back; beyond, they flush before their time.
  static constexpr std::size_t max_latest_bytes = std::size_t{64} << 20;
  // Memory of a held-back update beside its own bytes.
  static constexpr std::size_t latest_overhead = 128;
  static constexpr base::Duration heartbeat_period = std::chrono::seconds(1);
  // Heartbeats due at the same time are spread over this time, except the first few.
  static constexpr base::Duration heartbeat_spread = std::chrono::milliseconds(500);
  static constexpr std::int64_t heartbeats_at_once = 32;
  // Batches passed to watches in one flush; the rest follows in the next.
  static constexpr std::size_t hand_overs_per_flush = 50'000;

  struct Batch {
    net::Buffer message{};     // as append_message() of core/zmtp encodes it
    std::uint64_t serial = 0;  // no other batch of any stream has it
    std::uint64_t after = 0;   // position
    std::uint32_t count = 0;   // 0: a heartbeat
    bool names = false;        // introduces a new partition: watches must not skip it

    std::uint64_t end() const { return after + count; }
  };

  class Watcher {
   public:
    Watcher() = default;
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    // These callbacks must not subscribe or unsubscribe.
    virtual void on_batch(const Batch& batch) = 0;
    // The stream restarts under another number and drops its gathered updates. `renewed`: the
    // partition with a new history, if that is the cause. revisions() and missed() still answer for
    // the old number.
    virtual void on_restart(std::optional<std::size_t> renewed) = 0;

   protected:
    ~Watcher() = default;

   private:
    friend class Streams;
    Stream* stream_ = nullptr;
    std::size_t slot_ = 0;  // in its watchers
  };

  using Lease = std::function<MirrorLease(std::string_view subtree)>;

  Streams(const Partitions& partitions, Lease lease)
      : partitions_(partitions), lease_(std::move(lease)) {}

  // Flushes, then restarts every stream. Numbers begin at `first_number`, which must exceed every
  // number that this proxy has used in any process.
  void begin(std::uint64_t first_number, base::TimePoint now);
  // The partition has a new history: its streams restart.
  void renew(std::size_t partition);

  // A partition has been split; see Frontend::divide(). Flushes, then introduces the new partition
  // before any update of it.
  void divide(std::size_t whole, std::size_t part, keyspace::Revision known, base::TimePoint now);

  // False when there are too many streams.
  bool subscribe(const wire::native::Subscription& subscription, Watcher& watcher);
  void unsubscribe(Watcher& watcher);

  void append(const keyspace::UpdatePtr& update, std::size_t shard);
  // Sends a bounded amount of the gathered updates; true when updates are left.
  bool flush(base::TimePoint now);
  // Flushes the `latest` streams that are due, or all when they hold back too much.
  void flush_latest(base::TimePoint now);
  // When the next `latest` stream is due.
  std::optional<base::TimePoint> next_due() const;
  // Sends heartbeats with the reached revisions to the watches of idle streams, each stream once a
  // second. True when more are due shortly.
  bool heartbeat(base::TimePoint now);
  // When the next heartbeat may be due.
  std::optional<base::TimePoint> next_heartbeat() const {
    if (heartbeats_.empty()) return std::nullopt;
    return heartbeats_.front()->heartbeat_at;
  }

  // The number and position of the watcher's stream, gathered updates included. A cut of the
  // mirrors at this moment holds every update up to there.
  struct Place {
    std::uint64_t number = 0;
    std::uint64_t position = 0;
  };
  Place cut(const Watcher& watcher);
  // The revisions of a client that has every batch of the stream. From within on_batch(): every
  // batch before the present flush.
  std::vector<Known> revisions(const Watcher& watcher) const;
  // The position of the last batch.
  std::uint64_t sent(const Watcher& watcher) const;
  // Updates at positions (from, to], by shard.
  std::map<std::size_t, std::uint64_t> missed(const Watcher& watcher, std::uint64_t from,
                                              std::uint64_t to) const;

  std::size_t size() const { return by_subscription_.size(); }
  // Updates since the last flush that at least one stream gathered; bytes over all streams.
  std::size_t gathered() const { return gathered_; }
  std::size_t gathered_bytes() const { return gathered_bytes_; }
  // Bytes that `latest` streams hold back.
  std::size_t latest_bytes() const { return latest_bytes_; }
  std::uint64_t take_conflated() { return std::exchange(conflated_, 0); }
  // Encoded batches since the last call.
  struct Encoded {
    std::uint64_t plain = 0;
    std::uint64_t compressed = 0;
  };
  Encoded take_encoded() { return std::exchange(counts_, {}); }

 private:
  struct Body {
    std::string entries{};
    std::uint32_t count = 0;
  };
  // Consecutive updates from one shard, from the end of the run before up to `end`. Beyond
  // max_runs, the oldest runs count for the shard of the next run.
  struct Run {
    std::uint64_t end;
    std::size_t shard;
  };
  static constexpr std::size_t max_runs = 65'536;
  struct Reached {
    std::size_t partition;
    std::optional<keyspace::Revision> revision;
  };
  struct Stream {
    wire::native::Subscription subscription{};
    std::uint64_t number = 0;
    std::vector<Watcher*> watchers{};
    std::uint64_t position = 0;  // of the last gathered update
    std::uint64_t sent = 0;
    std::deque<Body> bodies{};  // gathered batches; the last is being filled
    // `latest`: the last update of each key since the last flush, in order of first change.
    std::unordered_map<std::string_view, std::size_t> latest_index{};   // views into `latest`
    std::vector<std::pair<keyspace::UpdatePtr, std::size_t>> latest{};  // and its shard
    std::size_t latest_bytes = 0;
    std::vector<Reached> reached{};
    MirrorLease lease{};
    std::deque<Run> runs{};  // of sent updates, while several shards send them
    Compression compression{};
    base::TimePoint last_sent{};
    base::TimePoint heartbeat_at{};
    std::list<Stream*>::iterator turn{};  // in heartbeats_
    bool dirty = false;
  };
  using Group = std::vector<Stream*>;

  Stream* begin_stream(const wire::native::Subscription& subscription);
  void end_stream(Stream& stream);
  bool append_to(const Group& group, const keyspace::UpdatePtr& update, std::size_t shard);
  void restart(Stream& stream, std::optional<std::size_t> renewed);
  void forget_gathered(Stream& stream);
  void conflate(Stream& stream, const keyspace::UpdatePtr& update, std::size_t shard);
  void gather(Stream& stream, std::string_view entry, std::size_t shard);
  void gather_latest(Stream& stream);
  std::size_t send_gathered(Stream& stream, base::TimePoint now);
  void send_heartbeat(Stream& stream, base::TimePoint now);
  void send(Stream& stream, const Body& body, const wire::native::Revisions& revisions,
            bool names = false);
  void send_with_revisions(Stream& stream, const Body& body, bool all);

  const Partitions& partitions_;
  Lease lease_;
  std::uint64_t next_number_ = 0;
  std::uint64_t last_serial_ = 0;
  std::map<wire::native::Subscription, std::unique_ptr<Stream>> by_subscription_;
  base::TextMap<Group> by_subtree_;
  std::deque<Stream*> dirty_;      // have gathered updates
  std::list<Stream*> heartbeats_;  // the next due is first
  base::TimePoint paced_at_{};
  std::int64_t pace_ = 0;        // heartbeats that may be sent, × heartbeat_spread
  std::vector<Stream*> latest_;  // streams that hold updates back
  std::string encoded_;          // the update being appended, once encoded
  std::size_t gathered_ = 0;
  std::size_t gathered_bytes_ = 0;
  std::size_t latest_bytes_ = 0;
  std::uint64_t conflated_ = 0;
  Encoded counts_{};
};

}  // namespace canopy::proxy
