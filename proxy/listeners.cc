#include "proxy/listeners.h"

#include <algorithm>

namespace canopy::proxy {
Listeners::Listeners(net::Connections& server, Guard& guard, Metrics& metrics)
    : server_(server),
      guard_(guard),
      metrics_(metrics),
      closings_([&guard, &metrics](const net::Closing& closing) {
        metrics.registry.count_closed(closing.closed);
        if (guard.on()) metrics.registry.refuse_handshakes(closing.refused);
      }) {
  if (!guard.on()) return;
  curve_ = net::curve_server(*guard.keys(), server.loop(), [&guard](std::string_view public_key) {
    return guard.name_of(public_key);
  });
}

base::Status Listeners::open(Frontend& frontend, const config::Proxy& config,
                             std::chrono::milliseconds timeout) {
  const std::vector<Opening> openings = frontend.openings();
  for (const Opening& opening : openings) {
    auto address = net::parse_listen_address(opening.endpoint);
    if (!address) return base::Error{address.error()};
    net::ListenerSettings made = settings(opening, config);
    made.address = std::move(*address);
    opened_.push_back(
        {.frontend = &frontend,
         .role = openings.size() > 1 ? " " + opening.label : std::string(),
         .connections =
             &metrics_.connections.Add({{"dialect", opening.dialect}, {"role", opening.label}}),
         .listener = std::make_unique<net::Listener>(server_, std::move(made), *opening.events)});
    if (auto status = opened_.back().listener->open(timeout); !status) return status;
  }
  return {};
}

net::ListenerSettings Listeners::settings(const Opening& opening, const config::Proxy& config) {
  return {.connection = {.peer = {.type = opening.type,
                                  .limits = {.frame_bytes = base::max_client_frame_bytes},
                                  .curve = guard_.on() ? &curve_ : nullptr},
                         .proxy_protocol = config.proxy_protocol,
                         .high_water_bytes = opening.high_water_bytes,
                         .low_water_bytes = opening.low_water_bytes},
          .send_buffer_bytes = std::max(config.client_send_buffer, 0),
          .limit = &limit(opening.role),
          .closings = &closings_,
          .name = opening.dialect + "-" + opening.label};
}

std::vector<config::Endpoint> Listeners::endpoints(const Frontend& frontend) const {
  std::vector<config::Endpoint> endpoints;
  for (const Opened& opened : opened_) {
    if (opened.frontend == &frontend) endpoints.push_back(opened.listener->endpoint());
  }
  return endpoints;
}

void Listeners::admit(std::size_t connections) {
  for (net::AcceptLimit& limit : limits_) limit.set_limit(connections);
}

std::size_t Listeners::clients() const {
  std::size_t largest = 0;
  for (const net::AcceptLimit& limit : limits_) largest = std::max(largest, limit.open());
  return largest;
}

void Listeners::for_each(const Visit& visit) const {
  for (const Opened& opened : opened_) {
    opened.listener->for_each(
        [&](net::Connection& connection) { visit(*opened.frontend, connection); });
  }
}

void Listeners::close(const std::vector<std::string>& names, std::string_view reason) {
  for_each([&](const Frontend&, net::Connection& connection) {
    if (std::ranges::find(names, connection.info().user) != names.end()) connection.close(reason);
  });
}

std::vector<wire::native::ClientInfo> Listeners::describe(base::TimePoint now) const {
  std::vector<wire::native::ClientInfo> clients;
  for (const Opened& opened : opened_) {
    opened.listener->for_each([&](net::Connection& connection) {
      wire::native::ClientInfo& client =
          clients.emplace_back(opened.frontend->describe(connection));
      client.connection = connection.id();
      client.peer = connection.peer();
      client.protocol += opened.role;
      client.queued_bytes = connection.queued_bytes();
      client.age_ms = base::in_ms(now - connection.since());
    });
  }
  std::ranges::sort(clients, {}, &wire::native::ClientInfo::connection);
  return clients;
}

bool Listeners::kick(std::uint64_t connection) {
  for (const Opened& opened : opened_) {
    net::Connection* const found = opened.listener->find(connection);
    if (found == nullptr) continue;
    found->close("kicked");
    return true;
  }
  return false;
}

void Listeners::report(std::size_t queue_limit) {
  std::size_t largest = 0;
  std::size_t slow = 0;
  for_each([&](const Frontend&, net::Connection& connection) {
    const std::size_t queued = connection.queued_bytes();
    largest = std::max(largest, queued);
    slow += queued > queue_limit / 2 ? 1 : 0;
  });
  metrics_.queue_bytes.Set(static_cast<double>(server_.queued_bytes()));
  metrics_.largest_queue_bytes.Set(static_cast<double>(largest));
  metrics_.slow_clients.Set(static_cast<double>(slow));
  for (const Opened& opened : opened_) {
    opened.connections->Set(static_cast<double>(opened.listener->size()));
  }
  for (const auto& [role, name] : {std::pair(Role::snapshot, "snapshot"),
                                   {Role::updates, "updates"},
                                   {Role::collector, "collector"}}) {
    metrics_.accept_paused.Add({{"role", name}}).Set(limit(role).full() ? 1 : 0);
  }
  metrics_.clients.Set(static_cast<double>(clients()));
}

}  // namespace canopy::proxy
