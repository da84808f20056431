// A client of a cluster as a state machine: it finds a proxy, watches, reads and writes through it,
// and continues at another proxy when it must. docs/reference/protocol.md specifies the protocol.
//
// Pure: no socket, thread or clock. Its runner passes in frames and the time, carries out what it
// asks (network.h) and receives its events (events.h); both outlive it. Not thread-safe. Every
// collection is bounded: by limits here or by the size of what is watched.
//
//            start, loss                 answer of a broker, or a fixed list
//   apart ─────────────────▶ seeking ────────────────────────────────────────▶ linked
//     ▲                                                                          │
//     └─ timeout, refusal "draining": jittered back-off ──────────────────────────┘
//
// One connection carries everything. The session pings when no frame arrives, and when a request
// stays unanswered. It leaves a proxy that sends batches but answers nothing, as it leaves one that
// sends nothing.
//
// When a proxy asks its clients to move, the session finds another one and moves at a random moment
// of the time given. It repeats open requests at the next proxy: watches continue from the
// revisions they know, and writes keep their numbers, so that they are applied once.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "client/directory.h"
#include "client/events.h"
#include "client/liveness.h"
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
  std::string name{};                  // shown to operators of the cluster; may be empty
  std::uint64_t seed = 0;              // of what is chosen at random
  std::string first{};  // name of the proxy to begin with, if there is such; else by chance
};

class Session {
 public:
  static constexpr base::Duration broker_timeout = std::chrono::seconds(1);
  static constexpr base::Duration least_back_off = std::chrono::milliseconds(100);
  static constexpr base::Duration most_back_off = std::chrono::seconds(5);
  static constexpr base::Duration default_timeout = std::chrono::seconds(10);
  // Calls that wait for an answer or to be sent; further ones are refused as busy.
  static constexpr std::size_t max_calls = 65'536;
  static constexpr std::size_t max_call_bytes = std::size_t{256} << 20;
  // Requests for watches that are not live yet; further ones wait. The proxy serves requests in
  // turn, so that few of them end sooner than many.
  static constexpr std::size_t max_joining = 24;

  Session(Settings settings, Network& network, Events& events);

  // Looks for a proxy. Calls and watches may be made before.
  void start(base::TimePoint now);
  // Leaves; every call that is open is answered with `closed`.
  void close();

  // --- what arrives. Invalid bytes are ignored; the timeouts of their sender then end.

  void on_message(std::string_view frame, base::TimePoint now);  // of the proxy
  void on_broker(std::string_view frame, base::TimePoint now);
  // The connection to the proxy has ended.
  void on_disconnected(base::TimePoint now);
  // To be called ten times a second or more, after the frames that have arrived.
  void tick(base::TimePoint now);

  // --- what the user wants

  // `writes` are one request: applied together or not at all. Writes to one key are applied in the
  // order of these calls.
  void write(CallId call, std::vector<wire::Write> writes, base::TimePoint now,
             base::Duration timeout = default_timeout);
  // The entry of a key, if there is one.
  void get(CallId call, std::string key, base::TimePoint now,
           base::Duration timeout = default_timeout);
  // The entries of a subtree, or the entry of a full key. With a limit the proxy may stop once it
  // has found so many.
  void list(CallId call, std::string subtree, base::TimePoint now,
            base::Duration timeout = default_timeout, std::uint64_t limit = 0,
            ListFilter filter = {});
  // Ends a call with `cancelled`, unless it has ended.
  void cancel(CallId call);
  void watch(WatchId watch, const wire::native::Subscription& subscription, base::TimePoint now);
  // No event of it follows.
  void unwatch(WatchId watch);

  bool linked() const { return link_.has_value(); }
  // The proxy in use; there must be one.
  const Target& target() const { return link_->target; }
  // Write requests sent so far, repeats included.
  std::uint64_t writes_sent() const { return writes_.sendings(); }
  // Calls that wait for an answer or to be sent.
  std::size_t open_calls() const { return reads_.size() + writes_.size(); }

 private:
  struct Link {
    Target target;
    Liveness liveness;
    base::TimePoint progress;                  // when a watch last made some
    std::optional<base::TimePoint> move_at{};  // the proxy asked the client to move
  };

  bool has_room(CallId call, std::size_t bytes);
  void read(CallId call, Reads::Request request, base::TimePoint now, base::Duration timeout,
            ListFilter filter = {});

  void seek(base::TimePoint now);
  void seek_when_due(base::TimePoint now);
  void ask_next_broker(base::TimePoint now);
  void leave_broker();
  void choose_proxy(base::TimePoint now);
  void seek_later(base::TimePoint now);
  void link(Target target, base::TimePoint now);
  void unlink();
  void lose(base::TimePoint now);
  void hear(std::size_t bytes, base::TimePoint now);
  void leave_soon(base::Duration within, base::TimePoint now);
  base::Duration back_off();
  std::uint64_t random_below(std::uint64_t bound);

  void on(const wire::native::Welcome&, base::TimePoint) {}
  void on(const wire::native::Written& written, base::TimePoint) { writes_.on_written(written); }
  void on(const wire::native::Chunk& chunk, base::TimePoint now);
  void on(const wire::native::CaughtUp& caught_up, base::TimePoint now);
  void on(const wire::native::Got& got, base::TimePoint) { reads_.on_entry(got); }
  void on(const wire::native::Pong&, base::TimePoint) { link_->liveness.on_pong(); }
  void on(const wire::native::Gap& gap, base::TimePoint now);
  void on(const wire::native::Batch& batch, base::TimePoint now);
  // Asked for over connections of their own, by operators.
  void on(const wire::native::ClientList&, base::TimePoint) {}
  void on(const wire::native::Kicked&, base::TimePoint) {}
  void on(const wire::native::Move& move, base::TimePoint now);
  void on(const wire::native::Refusal& refusal, base::TimePoint now);
  void refuse(Watch& watch, const wire::native::Refusal& refusal, base::TimePoint now);
  // Sends what can be sent.
  void serve(base::TimePoint now);
  Watch* find(std::uint64_t request);
  void ask(Watch& watch, base::TimePoint now);
  void ask_again(Watch& watch, base::TimePoint now);
  void ask_later(Watch& watch, base::TimePoint now);
  void release(Watch& watch);
  void leave_stream(Watch& watch);
  bool is_stuck(base::TimePoint now);
  void ping_when_due(base::TimePoint now);
  void postpone_by_sleep(base::TimePoint now);

  Settings settings_;
  Network& network_;
  Events& events_;
  std::mt19937_64 random_;

  std::optional<Link> link_;
  bool contact_ = false;  // as last reported
  std::vector<Candidate> candidates_;
  std::string avoid_{};  // the proxy that was left last
  std::optional<base::TimePoint> seek_at_{};
  std::optional<base::TimePoint> broker_due_{};
  std::uint64_t broker_request_ = 0;
  std::size_t next_broker_ = 0;
  std::size_t brokers_asked_ = 0;  // of this search
  int failures_ = 0;               // since a proxy was last heard

  std::map<WatchId, Watch> watches_;
  std::set<std::pair<base::TimePoint, WatchId>> due_{};               // watches to be asked for
  std::unordered_map<std::uint64_t, Watch*> requests_{};              // watches asked for
  std::unordered_set<std::uint64_t> joining_{};                       // those not live since
  std::unordered_map<std::uint64_t, std::vector<Watch*>> streams_{};  // live watches, by stream
  base::TimePoint watched_{};                                         // looked for stuck ones
  std::uint64_t next_request_ = 1;
  Reads reads_;
  Writes writes_;
  wire::native::FromProxy message_;  // reused
  base::TimePoint ticked_{};
};

}  // namespace canopy::client
