// One simulated client, independent of its protocol, and what the clients of a worker share.
// Belongs to one worker; not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/net/connections.h"
#include "core/net/loop.h"
#include "loadtest/ack_table.h"
#include "loadtest/client_stats.h"
#include "loadtest/layout.h"
#include "loadtest/ledger.h"
#include "loadtest/measure/histogram.h"
#include "loadtest/options.h"
#include "loadtest/topology.h"
#include "loadtest/zmq_socket.h"

namespace canopy::loadtest {

// The measurements of one worker's clients.
struct Recorder {
  measure::Histogram latency;
  measure::Histogram join;
  measure::Histogram write;     // until acknowledged
  bool measuring = false;       // else latencies of updates and writes do not count
  std::uint64_t delivered = 0;  // live updates received
  std::int64_t joined_us = 0;   // when the last snapshot was complete
  ClientStats stats;
};

// What the clients of one worker share.
struct Context {
  const Options& options;
  const Layout& layout;
  const Target& target;
  AckTable& acks;
  std::uint64_t run;
  net::Loop& loop;
  zmq::context_t& zmq;  // of Clone clients, with their sockets
  ZmqWatcher& sockets;
  net::Connections& server;  // of native clients
  Recorder recorder{};
  std::vector<std::uint32_t> received{};  // tags of the clients that received data this turn
  ZmqMessage message{};                   // reused, as is `value`
  std::string value{};
};

class LoadClient {
 public:
  enum class State { outside, joining, joined, failed };

  // `tag` is the client's number within its worker.
  LoadClient(std::uint32_t id, std::uint32_t tag, Context& context)
      : id_(id), tag_(tag), context_(context), ledger_(context.layout.writers()) {}
  virtual ~LoadClient() = default;

  // Connects and requests the snapshot. State: joining.
  virtual base::Status join(std::int64_t now_us) = 0;
  // Called ten times a second.
  virtual void tick(std::int64_t /*now_us*/) {}
  // Publishes one update of the client's own key; false when its queue is full.
  virtual bool publish() = 0;
  // Disconnects; queued messages are still sent. State: outside.
  virtual void leave() = 0;
  // The snapshot timed out. The client stays connected, as a waiting client would.
  void fail() { state_ = State::failed; }

  // Published updates without an answer.
  virtual std::size_t unanswered() const { return 0; }
  // The last update that every client must have at the end, and the earlier ones that no client
  // needs to have received.
  virtual std::uint32_t last_applied() const { return counter_; }
  virtual std::vector<std::uint32_t> unacknowledged() const { return {}; }
  // Adds the results that the recorder does not have.
  virtual void add_results(Faults& faults, ClientStats& /*stats*/) const {
    faults += ledger_.faults();
  }

  std::uint32_t id() const { return id_; }
  State state() const { return state_; }
  // Grows with each leave(), so that timers of an earlier incarnation are ignored.
  std::uint32_t incarnation() const { return incarnation_; }
  bool publishes() const { return id_ < context_.layout.publishers(); }
  // Updates published over all incarnations.
  std::uint32_t counter() const { return counter_; }
  // Published updates that the client has not received itself.
  std::uint32_t outstanding() const { return counter_ - ledger_.counter_of(id_); }
  // The worker has handled the received data.
  void clear_received() { received_ = false; }
  Ledger& ledger() { return ledger_; }
  const Ledger& ledger() const { return ledger_; }

 protected:
  void mark_received() {
    if (!std::exchange(received_, true)) context_.received.push_back(tag_);
  }

  const std::uint32_t id_;
  const std::uint32_t tag_;
  Context& context_;
  State state_ = State::outside;
  std::uint32_t incarnation_ = 0;
  std::uint32_t counter_ = 0;
  Ledger ledger_;

 private:
  bool received_ = false;
};

}  // namespace canopy::loadtest
