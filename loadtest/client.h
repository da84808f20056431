// One Clone client, as the guide writes them: DEALER to the snapshot port, SUB to the updates, PUSH
// (chp: PUB) to the collector. It says when its sockets are to be read; the worker's loop reads.
// Not thread-safe; belongs to one worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/coordination/member.h"
#include "core/net/socket.h"
#include "core/wire/clone.h"
#include "loadtest/histogram.h"
#include "loadtest/layout.h"
#include "loadtest/ledger.h"

namespace canopy::loadtest {

// What every client of a worker shares.
struct ClientSettings {
  std::uint64_t run = 0;
  wire::clone::Dialect dialect = wire::clone::Dialect::kvsimple;
  int hwm = 1000;
  std::size_t payload_bytes = 100;
};

// Where the clients of one worker write down what they saw.
struct Recorder {
  Histogram latency;
  Histogram join;
  bool measuring = false;       // latencies count only then
  std::uint64_t delivered = 0;  // live updates received
  net::Message message;         // reused for every receive
  std::string value;            // reused for every send
};

class Client {
 public:
  enum class State { outside, joining, joined, failed };

  Client(std::uint32_t id, const Layout& layout, const ClientSettings& settings);

  // Connects and asks for the snapshot. The sockets' descriptors are then to be watched: the
  // snapshot's at once, the updates' from the moment read_snapshot() says so.
  base::Status join(net::Context& context, const coordination::Triple& target, std::int64_t now_us);
  // Reads what waits; true when the snapshot is whole.
  bool read_snapshot(Recorder& recorder);
  // Reads what waits; false when it stopped early and is to be called again soon.
  bool read_updates(Recorder& recorder);
  // One update of its own key; false when the queue to the collector is full.
  bool publish(Recorder& recorder);
  // Gives up on the snapshot, but stays connected, as a waiting client would.
  void fail() { state_ = State::failed; }
  // Disconnects; what is queued to the collector is still sent.
  void leave();

  int snapshot_fd() const { return snapshot_->fd(); }
  int updates_fd() const { return updates_->fd(); }

  std::uint32_t id() const { return id_; }
  State state() const { return state_; }
  // Counts the leaves, so that a timer of an earlier life is known as such.
  std::uint32_t life() const { return life_; }
  // Updates published over all lives.
  std::uint32_t counter() const { return counter_; }
  Ledger& ledger() { return ledger_; }
  const Ledger& ledger() const { return ledger_; }

 private:
  // `now_us` is the time of the last look at the clock.
  void on_update(const net::Message& message, std::int64_t& now_us, Recorder& recorder);
  void on_foreign(std::string_view key);

  const std::uint32_t id_;
  const Layout& layout_;
  const ClientSettings& settings_;
  State state_ = State::outside;
  std::uint32_t life_ = 0;
  std::uint32_t counter_ = 0;
  std::int64_t asked_us_ = 0;
  std::optional<net::Socket> snapshot_, updates_, collector_;
  Ledger ledger_;
};

}  // namespace canopy::loadtest
