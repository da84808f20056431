#include "core/net/outbox.h"

#include <algorithm>
#include <utility>

namespace canopy::net {

std::size_t Outbox::post(const std::string& peer, std::string frame, std::size_t answers) {
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

std::size_t Outbox::flush(base::TimePoint now) {
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

void Outbox::drop(const std::string& peer) {
  const auto known = waiting_.find(peer);
  if (known == waiting_.end()) return;
  bytes_ -= known->second.bytes;
  waiting_.erase(known);
}

}  // namespace canopy::net
