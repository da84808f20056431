// Answers that the queues of their peers, at a ROUTER, have no room for: kept in order, and sent
// when there is room. What a peer has under way is bounded, so what waits for it here is, too;
// whoever breaks that bound loses answers beyond a number of bytes. libzmq does not tell when a
// queue has room again, so it is tried now and then, the less often the longer nothing goes.
// Pure: time is an argument, what is sent goes through a callback. Not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>

#include "core/base/clock.h"
#include "core/net/socket.h"

namespace canopy::net {

class Outbox {
 public:
  struct Limits {
    std::size_t peer_bytes;   // for one peer
    std::size_t total_bytes;  // for all
  };
  // Between two tries: from the least, doubling while nothing goes, to the most.
  static constexpr base::Duration least_pause = std::chrono::milliseconds(1);
  static constexpr base::Duration most_pause = std::chrono::milliseconds(50);
  using Send = std::function<SendResult(const std::string& peer, std::string_view frame)>;

  Outbox(Limits limits, Send send) : limits_(limits), send_(std::move(send)) {}

  // Sends a frame that holds so many answers, or keeps it, behind what is kept for the peer
  // already. How many of the answers are lost: none, or all when the peer is gone or beyond its
  // bounds.
  std::size_t post(const std::string& peer, std::string frame, std::size_t answers = 1);
  // Sends what there is room for, if it is time to try. How many answers are lost, because their
  // peers are gone.
  std::size_t flush(base::TimePoint now);
  // Forgets what waits for a peer, who is another now.
  void drop(const std::string& peer);

  bool empty() const { return waiting_.empty(); }
  // How long until the next try, when something is kept.
  base::Duration pause() const { return pause_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Frame {
    std::string bytes{};
    std::size_t answers = 0;
  };
  struct Peer {
    std::deque<Frame> frames{};
    std::size_t bytes = 0;
  };
  static constexpr std::size_t overhead = 64;  // of a frame kept

  Limits limits_;
  Send send_;
  std::unordered_map<std::string, Peer> waiting_;
  std::size_t bytes_ = 0;
  base::Duration pause_ = least_pause;
  base::TimePoint next_try_{};
};

}  // namespace canopy::net
