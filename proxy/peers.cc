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
  if (fd < 0) {
    old_peers_ = true;
    return guarded_ ? nullptr : meet_unplaced(message);
  }
  const auto* connection = monitor.find(fd);
  if (connection == nullptr) return nullptr;
  monitor.mark_spoken(fd);
  const Sender from = guarded_ ? Sender::present : sender(message, *connection);
  if (from == Sender::former) return nullptr;
  if (from == Sender::unknown) {
    if (!is_chosen(routing_id)) return meet_unplaced(message);
    monitor.cut(fd, "routing_id_in_doubt");
    return nullptr;
  }
  Peer* const peer = meet(message, monitor);
  if (peer != nullptr) bear(*peer, message);
  return peer;
}

// Without the ZapHandler's number. A routing id that libzmq chose is of one connection only; one
// that a peer chose may be of a former connection and of the present one.
Peers::Sender Peers::sender(const net::Message& message,
                            const net::Monitor::Connection& connection) const {
  bool all_known = true;
  for (const PeerId id : connection.after) {
    const auto former = former_.find(id);
    if (former == former_.end()) {
      all_known = false;
    } else if (former->second.routing_id == message[0] &&
               (!is_chosen(message[0]) || former->second.origin.is_of(message))) {
      return Sender::former;
    }
  }
  return all_known ? Sender::present : Sender::unknown;
}

void Peers::on_read_empty(net::Monitor& monitor) {
  if (!monitor.expects_read_empty()) return;
  monitor.on_read_empty();
  former_.clear();
}

// A reply reaches the right connection if libzmq chose the routing id, or none at all.
const Peers::Peer* Peers::meet_unplaced(const net::Message& message) {
  const auto known = by_routing_id_.find(message[0]);
  if (known != by_routing_id_.end() && known->second->fd < 0) return known->second;
  if (unplaced_.size() >= max_unplaced) {
    forget(std::vector{unplaced_.front()});
    unplaced_.pop_front();
  }
  const PeerId id = context_.next_connection();
  unplaced_.push_back(id);
  Peer& peer = by_id_[id];
  peer.id = id;
  bear(peer, message);
  return &peer;
}

void Peers::bear(Peer& peer, const net::Message& message) {
  const std::string_view routing_id = message[0];
  if (peer.routing_id == routing_id) return;
  const auto known = by_routing_id_.find(routing_id);
  if (known != by_routing_id_.end()) forget(std::vector{known->second->id});
  if (!peer.routing_id.empty()) by_routing_id_.erase(peer.routing_id);
  if (peer.chose_routing_id) --choosers_;
  peer.routing_id = routing_id;
  peer.chose_routing_id = is_chosen(routing_id);
  if (peer.chose_routing_id) {
    ++choosers_;
    peer.origin = net::Origin(message);
  }
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
    Peer& peer = found->second;
    if (!peer.routing_id.empty()) {
      by_routing_id_.erase(peer.routing_id);
      ended_.push_back(id);
    }
    if (peer.chose_routing_id) --choosers_;
    if (gone) gone(peer);
    if (!peer.routing_id.empty()) {
      former_[id] = {std::move(peer.routing_id), std::move(peer.origin)};
    }
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
  if (old_peers_) return 0;  // whose messages do not tell their connections either
  std::vector<int> silent;
  for (const auto& [fd, connection] : monitor.connections()) {
    const bool may_be = connection.since <= last_chooser_ + std::chrono::seconds(1) &&
                        now - connection.since >= unheard;
    if (may_be && !connection.cut && !connection.spoke) silent.push_back(fd);
  }
  for (const int fd : silent) monitor.cut(fd, "routing_id_in_use");
  return silent.size();
}

}  // namespace canopy::proxy
