// Answers that the queues of their peers, at a ROUTER, have no room for: kept in order, and sent
// when there is room. What a peer has under way is bounded, so what waits for it here is, too;
// whoever breaks that bound loses answers beyond a number of bytes. libzmq does not tell when a
// queue has room again, so it is tried now and then, the less often the longer nothing goes.
// Pure: time is an argument, what is sent goes through a callback. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>

#include "core/base/clock.h"
#include "core/net/socket.h"

namespace canopy::net {

struct OutboxLimits {
  std::size_t peer_bytes;   // for one peer
  std::size_t total_bytes;  // for all
};

// `Id` names a peer.
template <typename Id>
class Outbox {
 public:
  using Limits = OutboxLimits;
  // Between two tries: from the least, doubling while nothing goes, to the most.
  static constexpr base::Duration least_pause = std::chrono::milliseconds(1);
  static constexpr base::Duration most_pause = std::chrono::milliseconds(50);
  using Send = std::function<SendResult(const Id& peer, std::string_view frame)>;

  Outbox(Limits limits, Send send) : limits_(limits), send_(std::move(send)) {}

  // Sends a frame that holds so many answers, or keeps it, behind what is kept for the peer
  // already. How many of the answers are lost: none, or all when the peer is gone or beyond its
  // bounds.
  std::size_t post(const Id& peer, std::string frame, std::size_t answers = 1);
  // Sends what there is room for, if it is time to try. How many answers are lost, because their
  // peers are gone.
  std::size_t flush(base::TimePoint now);
  // Forgets what waits for a peer, who is another now.
  void drop(const Id& peer);

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
  std::unordered_map<Id, Peer> waiting_;
  std::size_t bytes_ = 0;
  base::Duration pause_ = least_pause;
  base::TimePoint next_try_{};
};

template <typename Id>
std::size_t Outbox<Id>::post(const Id& peer, std::string frame, std::size_t answers) {
  auto known = waiting_.find(peer);
  if (known == waiting_.end()) {
    switch (send_(peer, frame)) {
      case SendResult::sent: return 0;
      case SendResult::no_route: return answers;
      case SendResult::would_block: break;
    }
    known = waiting_.try_emplace(peer).first;
    pause_ = least_pause;
    next_try_ = {};
  }
  Peer& waiting = known->second;
  const std::size_t bytes = frame.size() + overhead;
  if (waiting.bytes + bytes > limits_.peer_bytes || bytes_ + bytes > limits_.total_bytes) {
    if (waiting.frames.empty()) waiting_.erase(known);
    return answers;
  }
  waiting.bytes += bytes;
  bytes_ += bytes;
  waiting.frames.push_back({std::move(frame), answers});
  return 0;
}

template <typename Id>
std::size_t Outbox<Id>::flush(base::TimePoint now) {
  if (waiting_.empty() || now < next_try_) return 0;
  std::size_t lost = 0;
  bool any = false;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    Peer& peer = at->second;
    SendResult result = SendResult::sent;
    while (!peer.frames.empty()) {
      const Frame& frame = peer.frames.front();
      result = send_(at->first, frame.bytes);
      if (result != SendResult::sent) break;
      any = true;
      peer.bytes -= frame.bytes.size() + overhead;
      bytes_ -= frame.bytes.size() + overhead;
      peer.frames.pop_front();
    }
    if (result == SendResult::no_route) {
      for (const Frame& frame : peer.frames) lost += frame.answers;
      bytes_ -= peer.bytes;
    }
    at = result == SendResult::would_block ? std::next(at) : waiting_.erase(at);
  }
  pause_ = any ? least_pause : std::min(2 * pause_, most_pause);
  next_try_ = now + pause_;
  return lost;
}

template <typename Id>
void Outbox<Id>::drop(const Id& peer) {
  const auto known = waiting_.find(peer);
  if (known == waiting_.end()) return;
  bytes_ -= known->second.bytes;
  waiting_.erase(known);
}

}  // namespace canopy::net
