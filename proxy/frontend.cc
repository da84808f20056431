#include "proxy/frontend.h"

namespace canopy::proxy {

base::Status Frontend::bind(std::chrono::milliseconds patience) {
  for (auto& listener : listeners_) {
    if (listener == nullptr) continue;
    if (auto status = listener->socket.bind(listener->endpoint, patience); !status) return status;
    listener->endpoint = listener->socket.last_endpoint();
  }
  return {};
}

void Frontend::arm(Role role, std::uint64_t room, base::TimePoint now) {
  auto& listener = listeners_[static_cast<std::size_t>(role)];
  if (listener != nullptr) listener->monitor.arm(room, now);
}

std::size_t Frontend::connections(Role role) const {
  const auto& listener = listeners_[static_cast<std::size_t>(role)];
  return listener == nullptr ? 0 : listener->monitor.connections().size();
}

bool Frontend::count_connections(Role role, base::TimePoint now) {
  Listener& listener = at(role);
  if (!listener.monitor.drain(now)) return false;
  listener.gauge.Set(static_cast<double>(listener.monitor.connections().size()));
  return true;
}

void Frontend::cut(const std::vector<std::string>& names) {
  look();
  for (const auto& listener : listeners_) {
    if (listener != nullptr) listener->peers.cut(names, listener->monitor);
  }
}

void Frontend::count_closed(metrics::Registry& registry, bool guarded) {
  for (const auto& listener : listeners_) {
    if (listener == nullptr) continue;
    for (const auto& [reason, count] : listener->monitor.take_closed()) {
      registry.count_closed(reason, count);
    }
    if (!guarded) continue;
    for (const auto& [reason, count] : listener->monitor.take_failures().by_reason()) {
      registry.refuse_handshakes(reason, count);
    }
  }
}

bool Frontend::acceptable(Role role, const net::Message& message) {
  if (!message.too_large()) return true;
  read_monitor(role);
  at(role).monitor.cut(message, "frame_too_large");
  return false;
}

bool Frontend::receive(Role role, net::Message& message) {
  Listener& listener = at(role);
  if (listener.socket.receive(message)) return true;
  listener.peers.on_read_empty(listener.monitor);
  return false;
}

void Frontend::settle(Role role) {
  Listener& listener = at(role);
  if (listener.monitor.expects_read_empty() && !listener.socket.readable()) {
    listener.peers.on_read_empty(listener.monitor);
  }
}

PeerId Frontend::requester(Role role, const net::Message& message) {
  Listener& listener = at(role);
  const Peers::Peer* const peer =
      listener.peers.meet_requester(message, listener.monitor, [&] { read_monitor(role); });
  return peer == nullptr ? 0 : peer->id;
}

// libzmq looks the routing id up when it is sent, and may take note of connections that came and
// went within the same call: the throttle that it has for that is no promise. So the monitor is
// read afterwards: if the connection still stands, libzmq had not given its routing id away. The
// reading before makes it most unlikely that the answer is no; then an empty frame completes the
// message, which must be sent, and the reply stays here. A routing id that libzmq made is never
// given away, and none of this is needed.
net::SendResult Frontend::begin_reply(Role role, PeerId id) {
  Listener& listener = at(role);
  const Peers::Peer* peer = listener.peers.find(id);
  const bool chosen = peer != nullptr && peer->chose_routing_id;
  if (chosen) {
    read_monitor(role);
    peer = listener.peers.find(id);
  }
  if (peer == nullptr) return net::SendResult::no_route;
  const auto result = listener.socket.send_frame(std::string_view(peer->routing_id), true);
  if (result == net::SendResult::no_route) listener.peers.forget(std::array{id});
  if (result != net::SendResult::sent || !chosen) return result;
  read_monitor(role);
  if (listener.peers.find(id) != nullptr) return net::SendResult::sent;
  listener.socket.send_frame(std::string_view(), false);
  return net::SendResult::no_route;
}

std::string Frontend::advertised(Role role, const std::string& advertise) const {
  return config::advertised(at(role).endpoint, advertise);
}

}  // namespace canopy::proxy
