// The watches of native clients, each in one of three states:
//
//   waiting ──cut──▶ cut ──all sent──▶ live ──a batch does not fit──▶ waiting …
//      ▲              │
//      └── all sent, but the batches since the cut could not be held
//
// waiting: CatchUps brings it up to date when the client has room. cut: its chunks are being sent;
// the batches of its stream are held for it meanwhile, by reference. live: it gets each batch.
// What is held and queued for one connection stays below Backend::queue_limit(), replies and
// values that are larger than a chunk excepted.
//
// Every update that a watch is not sent is counted, by shard, and told to the client with a gap:
// at once when the watch is live, else with the next cut.
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/net/connection.h"
#include "core/wire/native.h"
#include "proxy/catch_ups.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"
#include "proxy/streams.h"

namespace canopy::proxy {

class Watches;
struct NativeClient;

class Watch final : public Streams::Watcher {
 public:
  Watch(Watches& owner, NativeClient& client, const wire::native::Watch& asked);
  ~Watch();

  void on_batch(const Streams::Batch& batch) override;
  void on_restart(std::optional<std::size_t> renewed) override;
  void on_cut();
  // What the client has by now.
  void on_sent(std::vector<Known> has);

  const wire::native::Subscription& subscription() const { return subscription_; }

 private:
  enum class State { waiting, cut, live };

  void fall_behind(const Streams::Batch& batch);
  void catch_up(std::vector<Known> has);
  void send_batch(const Streams::Batch& batch);
  void send_gap(std::optional<std::uint64_t> missed);
  void count_missed(std::uint64_t from, std::uint64_t to);
  void hold(const Streams::Batch& batch);
  std::vector<Streams::Batch> release();

  Watches& owner_;
  NativeClient& client_;
  std::uint64_t number_;
  wire::native::Subscription subscription_;
  State state_ = State::waiting;
  bool cut_before_ = false;
  bool holding_ = false;    // since the cut
  bool restarted_ = false;  // the client is to be told so
  // Of its stream: the client has each update up to there, or was told that it missed it. Nothing
  // before the first cut of a stream number.
  std::optional<std::uint64_t> position_{};
  std::vector<Streams::Batch> held_{};
};

// What one connection has under way; attached to it.
struct NativeClient final : net::Connection::Attachment {
  explicit NativeClient(net::Connection& its_connection) : connection(its_connection) {}
  void send(std::string_view frame) { connection.send(std::span(&frame, 1)); }

  net::Connection& connection;
  std::string id{};        // of its announce
  std::string name{};      // of its announce
  std::string software{};  // of its announce
  std::unordered_map<std::uint64_t, std::unique_ptr<Watch>> watches{};
  std::size_t requests = 0;       // lists and gets under way
  std::size_t held_bytes = 0;     // of its watches
  std::uint64_t last_serial = 0;  // of the last batch that it was sent
  std::uint64_t dropped = 0;
  std::uint64_t catch_ups = 0;  // after the first of a watch
};

class Watches {
 public:
  static constexpr std::size_t max_per_client = 100'000;
  static constexpr std::size_t max_watches = 1'000'000;

  // `reserve`: of the bytes that a connection may hold, those that are kept for chunks.
  Watches(Backend& backend, Metrics& metrics, Streams& streams, CatchUps& catch_ups,
          std::size_t reserve);

  wire::Fault open(NativeClient& client, const wire::native::Watch& asked);
  // False when there is none of this number.
  bool close(NativeClient& client, std::uint64_t number);
  // All of the client.
  void drop(NativeClient& client);

  std::uint64_t missed() const { return missed_; }
  // A batch counts once for each watch that it is held for.
  std::size_t held_bytes() const { return held_bytes_; }

 private:
  friend class Watch;

  // Whether this many more bytes may be held or queued for the client.
  bool fits(const NativeClient& client, std::size_t bytes) const {
    return client.connection.queued_bytes() + client.held_bytes + bytes <= backend_.queue_limit();
  }

  Backend& backend_;
  Metrics& metrics_;
  Streams& streams_;
  CatchUps& catch_ups_;
  std::size_t reserve_;
  std::size_t size_ = 0;
  std::uint64_t missed_ = 0;
  std::size_t held_bytes_ = 0;
  metrics::Counter& delivered_;
  metrics::Counter& delivered_bytes_;
};

}  // namespace canopy::proxy
