// The streams of the native protocol: one for each distinct subscription, with the batch that is
// being gathered for it.
//
// An update is encoded once and appended to every stream it belongs to, found by one hash look-up
// per path segment. Positions count the updates of a stream; a stream lives while it has
// subscribers, and each life is an incarnation.
//
// A client may have any number of streams, and its queue is bounded in frames. So heartbeats are
// spread over the second, and what a stream has for its only subscriber waits, for a moment, while
// that one's queue is full.
// Pure: time is an argument, what is sent goes through a callback. Not thread-safe.
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
#include "core/keyspace/update.h"
#include "core/wire/native.h"
#include "proxy/compression.h"
#include "proxy/mirror_lease.h"
#include "proxy/partitions.h"

namespace canopy::proxy {

// What a flush hands to all subscribers of a stream.
struct Sending {
  std::string frame{};
  std::size_t updates = 0;
  std::size_t subscribers = 0;
  bool compressed = false;
  bool may_wait = false;  // need not be sent, and is offered again, while there is no room for it
};

class Streams {
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
  // How long a frame may wait for room.
  static constexpr base::Duration patience = std::chrono::milliseconds(200);
  // False only for what may wait: it was not sent.
  using Send = std::function<bool(Sending sending)>;

  // Incarnations count up from `first_incarnation`, which neither an earlier process of this proxy
  // nor this one may have reached.
  explicit Streams(const Partitions& partitions, std::uint64_t first_incarnation = 0)
      : partitions_(partitions), next_incarnation_(first_incarnation) {}

  // Goes on from another `first_incarnation`; what is gathered is sent, then every stream begins
  // anew.
  void begin(std::uint64_t first_incarnation, base::TimePoint now, const Send& send);

  // A subscriber came: the stream is answered with the next flush. False when there are too many.
  bool add(const wire::native::Subscription& subscription, MirrorLease lease = {});
  void remove(const wire::native::Subscription& subscription);
  // The partition has a new history: its streams begin a new incarnation, so that their clients ask
  // what there is. What is gathered is left out, since the answers include it.
  void renew(std::size_t partition);

  void append(const keyspace::UpdatePtr& update, std::size_t shard);
  // Sends what is gathered, and answers new subscribers.
  void flush(base::TimePoint now, const Send& send);
  // Sends the `latest` streams that are due, or all of them when they hold back too much.
  void flush_latest(base::TimePoint now, const Send& send);
  // When the next of them is.
  std::optional<base::TimePoint> next_due() const;
  // Says where the idle streams stand: each once a second, if called often enough. True when some
  // are due that are to go a little later.
  bool heartbeat(base::TimePoint now, const Send& send);
  // Whether flush() has something to send.
  bool pending() const { return !dirty_.empty(); }
  // Tells every subscriber to be elsewhere within this time.
  void move(std::uint32_t within_ms, const Send& send);

  // Where a stream stands now; nothing when nobody subscribes to it.
  struct Cut {
    std::uint64_t incarnation = 0;
    std::uint64_t position = 0;
  };
  std::optional<Cut> cut(const wire::native::Subscription& subscription) const;
  // How many of the updates at positions (had, saw] came from each shard.
  std::map<std::size_t, std::uint64_t> missed(const wire::native::Subscription& subscription,
                                              const wire::native::Gap& gap) const;

  std::size_t size() const { return by_topic_.size(); }
  // Of the entries gathered since the last flush, and of what `latest` streams hold back.
  std::size_t gathered_bytes() const { return gathered_bytes_; }
  std::size_t latest_bytes() const { return latest_bytes_; }
  std::uint64_t take_conflated() { return std::exchange(conflated_, 0); }

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
  struct Said {
    std::size_t partition;
    std::optional<keyspace::Revision> revision;
  };
  struct Stream {
    wire::native::Subscription subscription{};
    std::string topic{};
    std::uint64_t incarnation = 0;
    std::size_t subscribers = 0;
    std::uint64_t position = 0;  // of what is gathered
    std::uint64_t sent = 0;
    std::deque<Body> bodies{};  // gathered; the last is being filled
    // `latest`: the last update of each key since the last flush, in order of first change.
    std::unordered_map<std::string_view, std::size_t> latest_index{};   // views into `latest`
    std::vector<std::pair<keyspace::UpdatePtr, std::size_t>> latest{};  // and its shard
    std::size_t latest_bytes = 0;
    std::vector<Said> said{};
    MirrorLease lease{};
    std::deque<Run> runs{};  // of what was sent, while it comes from several shards
    Compression compression{};
    base::TimePoint last_sent{};
    std::optional<base::TimePoint> waits_since{};  // for room
    base::TimePoint heartbeat_at{};
    std::list<Stream*>::iterator turn{};  // in heartbeats_
    bool dirty = false;
    bool greet = false;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  using Group = std::vector<Stream*>;

  void append_to(const Group& group, const keyspace::UpdatePtr& update, std::size_t shard);
  void restart(Stream& stream);
  void forget_gathered(Stream& stream);
  void conflate(Stream& stream, const keyspace::UpdatePtr& update, std::size_t shard);
  void gather(Stream& stream, std::string_view entry, std::size_t shard);
  void gather_latest(Stream& stream);
  void mark(Stream& stream);
  void send_all(Stream& stream, base::TimePoint now, const Send& send);
  bool send_body(Stream& stream, const Body& body, wire::native::Revisions revisions, bool may_wait,
                 const Send& send);
  wire::native::Revisions news(Stream& stream, bool all) const;
  const Stream* find(const wire::native::Subscription& subscription) const;

  const Partitions& partitions_;
  std::uint64_t next_incarnation_;
  std::unordered_map<std::string, std::unique_ptr<Stream>> by_topic_;
  std::unordered_map<std::string, Group, Hash, std::equal_to<>> by_subtree_;
  std::vector<Stream*> dirty_;
  std::vector<Stream*> flushing_;  // reused
  std::list<Stream*> heartbeats_;  // the next comes first
  base::TimePoint paced_at_{};
  std::int64_t pace_ = 0;        // heartbeats that may be sent, × heartbeat_spread
  std::vector<Stream*> latest_;  // that hold updates back
  std::string encoded_;          // the update being appended, once encoded
  std::size_t gathered_bytes_ = 0;
  std::size_t latest_bytes_ = 0;
  std::uint64_t conflated_ = 0;
};

}  // namespace canopy::proxy
