// A client of a cluster as a state machine: finds a proxy, watches subtrees through it, reads,
// writes, and goes on at another proxy when it must. Pure: no socket, thread or clock; whoever runs
// it passes in what arrives and the time, carries out what it asks (network.h) and hears what it
// tells (events.h).
//
//            start, loss                 answer of a broker, or a fixed list
//   apart ─────────────────▶ seeking ────────────────────────────────────────▶ linked
//     ▲                                                                          │
//     └─ silence, refusal "draining": jittered back-off ──────────────────────────┘
//
// A proxy that asks its clients to move is left at a random moment of the time it gives, once
// another has been found. Whatever was under way is asked again at the next proxy: watches go on
// from the revisions they know, writes bear their number and are applied once.
//
// Not thread-safe. Every collection is bounded: by limits here or by the size of what is watched.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "client/directory.h"
#include "client/events.h"
#include "client/network.h"
#include "client/reads.h"
#include "client/watch.h"
#include "client/writes.h"
#include "core/base/clock.h"
#include "core/wire/native.h"

namespace canopy::client {

struct Settings {
  std::vector<std::string> brokers{};  // asked in turn which proxies there are
  std::vector<Target> proxies{};       // if not empty: these, and no broker is asked
  std::string client{};                // 16 bytes that no other client has
  std::uint64_t seed = 0;              // of what is chosen at random
};

class Session {
 public:
  static constexpr base::Duration stream_silence = std::chrono::seconds(3);
  static constexpr base::Duration write_silence = std::chrono::seconds(2);
  static constexpr base::Duration fetch_silence = std::chrono::seconds(5);
  static constexpr base::Duration broker_silence = std::chrono::seconds(1);
  static constexpr base::Duration least_back_off = std::chrono::milliseconds(100);
  static constexpr base::Duration most_back_off = std::chrono::seconds(5);
  static constexpr base::Duration default_timeout = std::chrono::seconds(10);
  // Calls that wait for an answer or to be sent; further ones are refused as busy.
  static constexpr std::size_t max_calls = 65'536;
  static constexpr std::size_t max_call_bytes = std::size_t{256} << 20;
  // Fetches of watches that are under way; further ones wait. With those of reads (32) they stay
  // below what a proxy lets one client have (64), which still counts those that were given up.
  static constexpr std::size_t max_watch_fetches = 24;
  // Watches looked at in one tick; of more each has its turn every few ticks.
  static constexpr std::size_t watches_per_tick = 2'000;

  Session(Settings settings, Network& network, Events& events);

  // Looks for a proxy. Calls and watches may be made before.
  void start(base::TimePoint now);
  // Leaves; every call that is open is answered with `closed`.
  void close();

  // --- what arrives. Hostile bytes are ignored, which their sender's silence then shows.

  void on_stream(std::string_view frame, base::TimePoint now);  // over the link's SUB
  void on_answer(std::string_view frame, base::TimePoint now);  // over the link's DEALER
  void on_broker(std::string_view frame, base::TimePoint now);
  // Ten times a second, and after what has arrived by then was passed in.
  void tick(base::TimePoint now);

  // --- what the user wants

  // `writes` are one request: applied together or not at all. Writes to one key are applied in the
  // order of these calls.
  void write(CallId call, std::vector<wire::Write> writes, base::TimePoint now,
             base::Duration timeout = default_timeout);
  // The entry of a key, if there is one.
  void get(CallId call, std::string key, base::TimePoint now,
           base::Duration timeout = default_timeout);
  // The entries of a subtree, or the entry of a full key.
  void read(CallId call, std::string subtree, base::TimePoint now,
            base::Duration timeout = default_timeout, Extent extent = Extent::all);
  void watch(WatchId watch, const wire::native::Subscription& subscription, base::TimePoint now);
  // Nothing more is told of it.
  void unwatch(WatchId watch);

  bool linked() const { return link_.has_value(); }
  // The proxy in use; there must be one.
  const Target& target() const { return link_->target; }

 private:
  // Above the numbers of writes, which the same connection bears.
  static constexpr std::uint64_t first_request = std::uint64_t{1} << 62;

  struct Link {
    explicit Link(Target to) : target(std::move(to)) {}

    Target target;
    std::optional<base::TimePoint> answer_due{};  // lost, if nothing is heard by then
    std::optional<base::TimePoint> move_at{};     // it asked us to be gone
  };
  struct Stream {
    base::TimePoint heard{};  // or subscribed
    bool flowing = false;     // heard at all
    std::vector<Watch*> watches{};
    Watch* fetching = nullptr;  // one after the other: a proxy answers one fetch of a stream
    std::list<Stream*>::iterator at{};  // in by_silence_
  };

  bool has_room(CallId call, std::size_t bytes);
  void listen(Watch& watch, base::TimePoint now);
  void forget(Watch& watch);

  void seek(base::TimePoint now);
  void seek_when_due(base::TimePoint now);
  void ask_next_broker(base::TimePoint now);
  void leave_broker();
  void choose_proxy(base::TimePoint now);
  void seek_later(base::TimePoint now);
  void link(Target target, base::TimePoint now);
  void unlink();
  void lose(base::TimePoint now);
  void hear();
  void leave_soon(base::Duration within, base::TimePoint now);
  bool is_lost(base::TimePoint now) const;
  base::Duration back_off();
  std::uint64_t random_below(std::uint64_t bound);

  void on(const wire::native::Written& written, base::TimePoint now);
  void on(const wire::native::Chunk& chunk, base::TimePoint now);
  void on(const wire::native::Refusal& refusal, base::TimePoint now);
  // Sends what can be sent.
  void serve(base::TimePoint now);
  void serve(Watch& watch, base::TimePoint now);
  void serve_queued(base::TimePoint now);
  void settle(Watch& watch, bool fetched);
  void tick_watches(base::TimePoint now);
  void serve_all(const std::string& topic, base::TimePoint now);
  void send(std::string frame, base::TimePoint answer_due);
  void grant(std::uint64_t request, base::TimePoint now);
  void forgive_sleep(base::TimePoint now);

  Settings settings_;
  Network& network_;
  Events& events_;
  std::mt19937_64 random_;

  std::optional<Link> link_;
  bool contact_ = false;  // as last told
  std::vector<Candidate> candidates_;
  std::string avoid_{};  // the proxy that was left last
  std::optional<base::TimePoint> seek_at_{};
  std::optional<base::TimePoint> broker_due_{};
  std::uint64_t broker_request_ = 0;
  std::size_t next_broker_ = 0;
  std::size_t brokers_asked_ = 0;  // of this search
  int failures_ = 0;               // since a proxy was last heard

  std::map<WatchId, Watch> watches_;
  std::unordered_map<std::string, Stream, TextHash, std::equal_to<>> streams_;  // by topic
  std::list<Stream*> by_silence_{};                      // that was heard last, last
  WatchId next_tick_ = 0;                                // the watch that is looked at next
  std::unordered_map<std::uint64_t, Watch*> fetches_{};  // under way, by request
  std::deque<WatchId> queue_{};                          // whose fetch is due and has to wait
  std::unordered_set<WatchId> queued_{};                 // those in it
  std::uint64_t next_request_ = first_request;
  Reads reads_;
  Writes writes_;
  wire::native::Batch batch_;  // reused
  base::TimePoint ticked_{};
};

}  // namespace canopy::client
