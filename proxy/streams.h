// The streams of the native protocol: one for each distinct subscription, with the batch that is
// being gathered for it and the watches that are to have it.
//
// An update is encoded once and appended to every stream it belongs to, found by one hash look-up
// per path segment. A batch is encoded once, as a whole ZMTP message that all watches share.
// Positions count the updates of a stream. A stream lives while it has watches; its number is never
// used again.
// Pure: time is an argument, batches go to Watcher::on_batch(). Not thread-safe.
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
  // Of what all `latest` streams hold back; beyond, they are sent before their time.
  static constexpr std::size_t max_latest_bytes = std::size_t{64} << 20;
  // What an update that is held back takes beside its own bytes.
  static constexpr std::size_t latest_overhead = 128;
  static constexpr base::Duration heartbeat_period = std::chrono::seconds(1);
  // Heartbeats that are all due at once take this long, beyond the first few.
  static constexpr base::Duration heartbeat_spread = std::chrono::milliseconds(500);
  static constexpr std::int64_t heartbeats_at_once = 32;
  // Batches handed to watches in one flush; the rest follows in the next.
  static constexpr std::size_t hand_overs_per_flush = 50'000;

  struct Batch {
    net::Buffer message{};     // as append_message() of core/zmtp encodes it
    std::uint64_t serial = 0;  // no other batch of any stream has it
    std::uint64_t after = 0;   // position
    std::uint32_t count = 0;   // 0: a heartbeat
    bool names = false;        // a partition that the stream did not have: not to be left out

    std::uint64_t end() const { return after + count; }
  };

  class Watcher {
   public:
    Watcher() = default;
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    // Neither may subscribe or unsubscribe.
    virtual void on_batch(const Batch& batch) = 0;
    // The stream begins anew under another number: nothing of what it gathered is sent. With
    // `renewed` because this partition has a new history. revisions() and missed() still answer for
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

  // Streams are numbered from here, which neither an earlier process of this proxy nor this one may
  // have reached. What is gathered is sent, then every stream begins anew.
  void begin(std::uint64_t first_number, base::TimePoint now);
  // The partition has a new history: its streams begin anew.
  void renew(std::size_t partition);

  // A partition has been split; see Frontend. What is gathered is sent, then the new partition is
  // named, before any update of it.
  void divide(std::size_t whole, std::size_t part, keyspace::Revision known, base::TimePoint now);

  // False when there are too many streams.
  bool subscribe(const wire::native::Subscription& subscription, Watcher& watcher);
  void unsubscribe(Watcher& watcher);

  void append(const keyspace::UpdatePtr& update, std::size_t shard);
  // Sends what is gathered, a bounded amount: true when some is left.
  bool flush(base::TimePoint now);
  // Sends the `latest` streams that are due, or all of them when they hold back too much.
  void flush_latest(base::TimePoint now);
  // When the next of them is.
  std::optional<base::TimePoint> next_due() const;
  // Tells the watches of idle streams which revisions they have reached: each stream once a second,
  // if called often enough. True when more are due, a little later.
  bool heartbeat(base::TimePoint now);
  // When the next heartbeat may be due.
  std::optional<base::TimePoint> next_heartbeat() const {
    if (heartbeats_.empty()) return std::nullopt;
    return heartbeats_.front()->heartbeat_at;
  }

  // Where the watcher's stream stands, with what is gathered: a cut of the mirrors at this moment
  // holds all up to there.
  struct Place {
    std::uint64_t number = 0;
    std::uint64_t position = 0;
  };
  Place cut(const Watcher& watcher);
  // The revisions that a client has which has every batch of the stream. From within on_batch():
  // every batch before the present flush.
  std::vector<Known> revisions(const Watcher& watcher) const;
  // The position of the last batch.
  std::uint64_t sent(const Watcher& watcher) const;
  // How many of the updates at positions (from, to] came from each shard.
  std::map<std::size_t, std::uint64_t> missed(const Watcher& watcher, std::uint64_t from,
                                              std::uint64_t to) const;

  std::size_t size() const { return by_subscription_.size(); }
  // Updates since the last flush that some stream gathers, and the bytes of what they gathered.
  std::size_t gathered() const { return gathered_; }
  std::size_t gathered_bytes() const { return gathered_bytes_; }
  // Of what `latest` streams hold back.
  std::size_t latest_bytes() const { return latest_bytes_; }
  std::uint64_t take_conflated() { return std::exchange(conflated_, 0); }
  // Batches that were encoded.
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
  // A run of updates from one shard: those up to `end`, from the end of the run before. Beyond
  // max_runs the oldest are counted to the shard of the run that follows them.
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
    std::uint64_t position = 0;  // of what is gathered
    std::uint64_t sent = 0;
    std::deque<Body> bodies{};  // gathered; the last is being filled
    // `latest`: the last update of each key since the last flush, in order of first change.
    std::unordered_map<std::string_view, std::size_t> latest_index{};   // views into `latest`
    std::vector<std::pair<keyspace::UpdatePtr, std::size_t>> latest{};  // and its shard
    std::size_t latest_bytes = 0;
    std::vector<Reached> reached{};
    MirrorLease lease{};
    std::deque<Run> runs{};  // of what was sent, while it comes from several shards
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
  std::deque<Stream*> dirty_;      // have gathered something
  std::list<Stream*> heartbeats_;  // the next comes first
  base::TimePoint paced_at_{};
  std::int64_t pace_ = 0;        // heartbeats that may be sent, × heartbeat_spread
  std::vector<Stream*> latest_;  // that hold updates back
  std::string encoded_;          // the update being appended, once encoded
  std::size_t gathered_ = 0;
  std::size_t gathered_bytes_ = 0;
  std::size_t latest_bytes_ = 0;
  std::uint64_t conflated_ = 0;
  Encoded counts_{};
};

}  // namespace canopy::proxy
