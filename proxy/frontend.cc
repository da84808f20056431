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

void Frontend::count_failed_handshakes(metrics::Registry& registry) {
  for (const auto& listener : listeners_) {
    if (listener == nullptr) continue;
    for (const auto& [reason, count] : listener->monitor.take_failures().by_reason()) {
      registry.refuse_handshakes(reason, count);
    }
  }
}

std::string Frontend::advertised(Role role, const std::string& advertise) const {
  return config::advertised(at(role).endpoint, advertise);
}

}  // namespace canopy::proxy
