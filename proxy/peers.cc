#include "proxy/peers.h"

#include <algorithm>
#include <utility>

namespace canopy::proxy {

Peers::Peer* Peers::meet(const net::Message& message, const net::Monitor& monitor) {
  const access::Sender sender = message.sender();
  const int fd = message.source_fd();
  if (!monitor.carries(fd, sender.connection)) return nullptr;
  Peer& peer = by_number_[sender.connection];
  if (peer.fd < 0) {
    peer.fd = fd;
    peer.name = sender.name;
  }
  return &peer;
}

bool Peers::takes_over(const std::string& routing_id, const net::Message& message,
                       const net::Monitor& monitor) {
  Peer* const peer = meet(message, monitor);
  if (peer == nullptr) return false;
  peer->routing_id = routing_id;
  const std::uint64_t number = message.sender().connection;
  const auto [owner, fresh] = by_routing_id_.try_emplace(routing_id, number);
  return std::exchange(owner->second, number) != number || fresh;
}

bool Peers::stands(const std::string& routing_id, const net::Monitor& monitor) const {
  const auto owner = by_routing_id_.find(routing_id);
  if (owner == by_routing_id_.end()) return false;
  const auto peer = by_number_.find(owner->second);
  return peer != by_number_.end() && monitor.carries(peer->second.fd, owner->second);
}

void Peers::forget_gone(const net::Monitor& monitor, const std::function<void(const Peer&)>& gone) {
  std::erase_if(by_number_, [&](const auto& entry) {
    const auto& [number, peer] = entry;
    if (monitor.carries(peer.fd, number)) return false;
    const auto owner = by_routing_id_.find(peer.routing_id);
    if (owner != by_routing_id_.end() && owner->second == number) by_routing_id_.erase(owner);
    gone(peer);
    return true;
  });
}

void Peers::cut(const std::vector<std::string>& names, const net::Monitor& monitor) const {
  for (const auto& [number, peer] : by_number_) {
    const bool named = std::ranges::find(names, peer.name) != names.end();
    if (named && monitor.carries(peer.fd, number)) net::Monitor::cut(peer.fd);
  }
}

}  // namespace canopy::proxy
