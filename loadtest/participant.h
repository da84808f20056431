// One simulated client of whatever protocol, as its worker drives it. Belongs to one worker; not
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/net/loop.h"
#include "core/net/server.h"
#include "loadtest/board.h"
#include "loadtest/histogram.h"
#include "loadtest/layout.h"
#include "loadtest/ledger.h"
#include "loadtest/options.h"
#include "loadtest/told.h"
#include "loadtest/topology.h"
#include "loadtest/zmq_socket.h"

namespace canopy::loadtest {

// Where the clients of one worker write down what they saw.
struct Recorder {
  Histogram latency;
  Histogram join;
  Histogram write;              // until it was acknowledged
  bool measuring = false;       // latencies of updates and writes count only then
  std::uint64_t delivered = 0;  // live updates received
  std::int64_t joined_us = 0;   // when the last snapshot was whole
  Told told;
};

// What the clients of one worker share.
struct Workplace {
  const Options& options;
  const Layout& layout;
  const Target& target;
  Board& board;
  std::uint64_t run;
  net::Loop& loop;
  zmq::context_t& context;  // of Clone clients, with their sockets
  ZmqWatcher& sockets;
  net::Server& server;  // of native clients
  Recorder recorder{};
  std::vector<std::uint32_t> touched{};  // clients for which something arrived in this turn, by tag
  ZmqMessage message{};                  // reused for every receive
  std::string value{};                   // reused for every send
};

class Participant {
 public:
  enum class State { outside, joining, joined, failed };

  // `tag` is the client's number within its worker.
  Participant(std::uint32_t id, std::uint32_t tag, Workplace& place)
      : id_(id), tag_(tag), place_(place), ledger_(place.layout.writers()) {}
  virtual ~Participant() = default;

  // Connects and asks for the snapshot; then joining.
  virtual base::Status join(std::int64_t now_us) = 0;
  // Ten times a second.
  virtual void tick(std::int64_t /*now_us*/) {}
  // One update of its own key; false when there is no room for it.
  virtual bool publish() = 0;
  // Disconnects; then outside. What is queued is still sent.
  virtual void leave() = 0;
  // Gives up on the snapshot, but stays connected, as a waiting client would.
  void fail() { state_ = State::failed; }

  // Updates published that wait for an answer.
  virtual std::size_t unanswered() const { return 0; }
  // The last of its updates that must be everybody's in the end, and those before that need not
  // have been anybody's.
  virtual std::uint32_t last_update() const { return counter_; }
  virtual std::vector<std::uint32_t> doubtful() const { return {}; }
  // Adds what it has not written down in the recorder.
  virtual void conclude(Faults& faults, Told& /*told*/) const { faults += ledger_.faults(); }

  std::uint32_t id() const { return id_; }
  State state() const { return state_; }
  // Counts the leaves, so that a timer of an earlier life is known as such.
  std::uint32_t life() const { return life_; }
  bool publishes() const { return id_ < place_.layout.publishers(); }
  // Updates published over all lives.
  std::uint32_t counter() const { return counter_; }
  // Of those, how many it has not been delivered itself.
  std::uint32_t outstanding() const { return counter_ - ledger_.counter_of(id_); }
  // The worker has seen to what arrived.
  void untouch() { touched_ = false; }
  Ledger& ledger() { return ledger_; }
  const Ledger& ledger() const { return ledger_; }

 protected:
  void touch() {
    if (!std::exchange(touched_, true)) place_.touched.push_back(tag_);
  }

  const std::uint32_t id_;
  const std::uint32_t tag_;
  Workplace& place_;
  State state_ = State::outside;
  std::uint32_t life_ = 0;
  std::uint32_t counter_ = 0;
  Ledger ledger_;

 private:
  bool touched_ = false;
};

}  // namespace canopy::loadtest
