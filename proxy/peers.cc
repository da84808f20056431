#include "proxy/peers.h"

#include <algorithm>
#include <utility>

namespace canopy::proxy {
namespace {

// libzmq gives a zero byte and a counter to a peer that chose none.
bool is_chosen(std::string_view routing_id) {
  return routing_id.size() != 5 || routing_id.front() != '\0';
}

}  // namespace

Peers::Peer* Peers::meet(const net::Message& message, const net::Monitor& monitor) {
  const int fd = message.source_fd();
  const auto* connection = monitor.find(fd);
  if (connection == nullptr) return nullptr;
  if (guarded_ && !monitor.carries(fd, message.sender().connection)) return nullptr;
  Peer& peer = by_id_[connection->number];
  if (peer.id == 0) {
    peer.id = connection->number;
    peer.fd = fd;
    if (guarded_) peer.name = message.sender().name;
  }
  return &peer;
}

const Peers::Peer* Peers::meet_requester(const net::Message& message, net::Monitor& monitor,
                                         const std::function<void()>& look) {
  const std::string_view routing_id = message[0];
  const auto known = by_routing_id_.find(routing_id);
  if (known != by_routing_id_.end() && !known->second->chose_routing_id) return known->second;
  look();
  const int fd = message.source_fd();
  if (fd < 0) return guarded_ ? nullptr : meet_old(routing_id);
  Peer* const peer = meet(message, monitor);
  if (peer == nullptr) return nullptr;
  if (!guarded_ && in_doubt(routing_id, *monitor.find(fd))) {
    monitor.cut(fd, "routing_id_in_doubt");
    return nullptr;
  }
  bear(*peer, routing_id);
  return peer;
}

// Without the ZapHandler's number, a request under a routing id that two connections may have
// chosen, over a descriptor that both have had, is nobody's.
bool Peers::in_doubt(std::string_view routing_id,
                     const net::Monitor::Connection& connection) const {
  if (connection.after == 0 || !is_chosen(routing_id)) return false;
  const auto former = former_.find(connection.after);
  return former == former_.end() || former->second == routing_id;
}

void Peers::on_read_empty(net::Monitor& monitor) {
  if (!monitor.expects_read_empty()) return;
  monitor.on_read_empty();
  former_.clear();
}

const Peers::Peer* Peers::meet_old(std::string_view routing_id) {
  const auto known = by_routing_id_.find(routing_id);
  if (known != by_routing_id_.end() && known->second->fd < 0) return known->second;
  if (old_peers_.size() >= max_old_peers) {
    forget(std::vector{old_peers_.front()});
    old_peers_.pop_front();
  }
  const PeerId id = context_.next_connection();
  old_peers_.push_back(id);
  Peer& peer = by_id_[id];
  peer.id = id;
  bear(peer, routing_id);
  return &peer;
}

void Peers::bear(Peer& peer, std::string_view routing_id) {
  if (peer.routing_id == routing_id) return;
  const auto known = by_routing_id_.find(routing_id);
  if (known != by_routing_id_.end()) forget(std::vector{known->second->id});
  if (!peer.routing_id.empty()) by_routing_id_.erase(peer.routing_id);
  if (peer.chose_routing_id) --choosers_;
  peer.routing_id = routing_id;
  peer.chose_routing_id = is_chosen(routing_id);
  if (peer.chose_routing_id) ++choosers_;
  chosen_ |= peer.chose_routing_id;
  by_routing_id_[peer.routing_id] = &peer;
}

const Peers::Peer* Peers::find(PeerId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

void Peers::forget(std::span<const PeerId> ended, const std::function<void(const Peer&)>& gone) {
  for (const PeerId id : ended) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) continue;
    const Peer& peer = found->second;
    if (!peer.routing_id.empty()) {
      by_routing_id_.erase(peer.routing_id);
      ended_.push_back(id);
      former_[id] = peer.routing_id;
    }
    if (peer.chose_routing_id) --choosers_;
    if (gone) gone(peer);
    by_id_.erase(found);
  }
}

void Peers::cut(const std::vector<std::string>& names, net::Monitor& monitor) const {
  for (const auto& [id, peer] : by_id_) {
    const auto* connection = monitor.find(peer.fd);
    const bool stands = connection != nullptr && connection->number == id;
    if (stands && std::ranges::find(names, peer.name) != names.end()) {
      monitor.cut(peer.fd, "permissions");
    }
  }
}

// libzmq never reads from a connection again whose routing id was in use when it came. So they are
// closed also when the one that had it has ended, for they may have it next time.
std::size_t Peers::cut_unheard(net::Monitor& monitor, base::TimePoint now) {
  if (choosers_ > 0 || std::exchange(chosen_, false)) last_chooser_ = now;
  if (!old_peers_.empty()) return 0;  // whose messages do not tell their connections either
  std::vector<int> silent;
  for (const auto& [fd, connection] : monitor.connections()) {
    const bool may_be = connection.since <= last_chooser_ + std::chrono::seconds(1) &&
                        now - connection.since >= unheard;
    if (may_be && !connection.cut && !by_id_.contains(connection.number)) silent.push_back(fd);
  }
  for (const int fd : silent) monitor.cut(fd, "routing_id_in_use");
  return silent.size();
}

}  // namespace canopy::proxy
