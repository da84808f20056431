#include "proxy/listeners.h"

#include <algorithm>

namespace canopy::proxy {
namespace {

const char* name(Role role) {
  switch (role) {
    case Role::snapshot: return "snapshot";
    case Role::updates: return "updates";
    case Role::collector: return "collector";
  }
  return "";
}

}  // namespace

// An opening and its listener. Counts on the way to the frontend.
class Listeners::Opened final : public net::ConnectionEvents {
 public:
  // `role`: how it is told from the frontend's other openings; empty when it is the only one.
  Opened(Listeners& owner, const Frontend& frontend, const Opening& opening, std::string role,
         net::ListenerSettings settings)
      : owner_(owner),
        frontend_(frontend),
        events_(*opening.events),
        name_(opening.dialect + "-" + opening.label),
        role_(std::move(role)),
        gauge_(owner.metrics_.connections.Add(
            {{"dialect", opening.dialect}, {"role", opening.label}})),
        listener_(owner.server_, std::move(settings), *this) {}

  void on_ready(net::Connection& connection) override { events_.on_ready(connection); }
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override {
    events_.on_message(connection, parts);
  }
  void on_subscription(net::Connection& connection, std::string_view topic, bool begins) override {
    events_.on_subscription(connection, topic, begins);
  }
  // Comes at the end of a turn: what the frontend has for the connection goes out with the next.
  void on_drained(net::Connection& connection) override {
    events_.on_drained(connection);
    owner_.server_.loop().post([] {});
  }
  void on_closed(net::Connection& connection, std::string_view reason) override {
    owner_.closings_.add(name_, connection, reason);
    events_.on_closed(connection, reason);
  }

  net::Listener& listener() { return listener_; }
  const Frontend& frontend() const { return frontend_; }
  wire::native::ClientInfo describe(const net::Connection& connection, base::TimePoint now) const;
  void report() { gauge_.Set(static_cast<double>(listener_.size())); }

 private:
  Listeners& owner_;
  const Frontend& frontend_;
  net::ConnectionEvents& events_;
  std::string name_;
  std::string role_;
  metrics::Gauge& gauge_;
  net::Listener listener_;
};

wire::native::ClientInfo Listeners::Opened::describe(const net::Connection& connection,
                                                     base::TimePoint now) const {
  wire::native::ClientInfo client = frontend_.describe(connection);
  client.connection = connection.id();
  client.peer = connection.peer();
  if (!role_.empty()) client.protocol += " " + role_;
  client.queued_bytes = connection.queued_bytes();
  client.age_ms = base::in_ms(now - connection.since());
  return client;
}

Listeners::Listeners(net::Server& server, Guard& guard, Metrics& metrics)
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

Listeners::~Listeners() = default;

base::Status Listeners::open(Frontend& frontend, const config::Proxy& config,
                             std::chrono::milliseconds patience) {
  const std::vector<Opening> openings = frontend.openings();
  for (const Opening& opening : openings) {
    auto address = net::parse_listen_address(opening.endpoint);
    if (!address) return base::Error{address.error()};
    net::ListenerSettings made = settings(opening, config);
    made.address = std::move(*address);
    opened_.push_back(std::make_unique<Opened>(*this, frontend, opening,
                                               openings.size() > 1 ? opening.label : std::string(),
                                               std::move(made)));
    if (auto status = opened_.back()->listener().open(patience); !status) return status;
  }
  return {};
}

net::ListenerSettings Listeners::settings(const Opening& opening, const config::Proxy& config) {
  return {.peer = {.type = opening.type,
                   .limits = {.frame_bytes = base::max_client_frame_bytes},
                   .curve = guard_.on() ? &curve_ : nullptr},
          .proxy_protocol = config.proxy_protocol,
          .send_buffer_bytes = std::max(config.client_send_buffer, 0),
          .high_water_bytes = opening.high_water_bytes,
          .low_water_bytes = opening.low_water_bytes,
          .limit = &limit(opening.role)};
}

std::vector<config::Endpoint> Listeners::endpoints(const Frontend& frontend) const {
  std::vector<config::Endpoint> endpoints;
  for (const auto& opened : opened_) {
    if (&opened->frontend() == &frontend) endpoints.push_back(opened->listener().endpoint());
  }
  return endpoints;
}

void Listeners::admit(std::size_t connections) {
  for (net::AcceptLimit& limit : limits_) limit.set_limit(connections);
}

std::size_t Listeners::clients() const {
  std::size_t most = 0;
  for (const net::AcceptLimit& limit : limits_) most = std::max(most, limit.open());
  return most;
}

void Listeners::for_each(const Visit& visit) const {
  for (const auto& opened : opened_) {
    opened->listener().for_each(
        [&](net::Connection& connection) { visit(opened->frontend(), connection); });
  }
}

void Listeners::close(const std::vector<std::string>& names, std::string_view reason) {
  for_each([&](const Frontend&, net::Connection& connection) {
    if (std::ranges::find(names, connection.info().user) != names.end()) connection.close(reason);
  });
}

std::vector<wire::native::ClientInfo> Listeners::describe(base::TimePoint now) const {
  std::vector<wire::native::ClientInfo> clients;
  for (const auto& opened : opened_) {
    opened->listener().for_each([&](const net::Connection& connection) {
      clients.push_back(opened->describe(connection, now));
    });
  }
  std::ranges::sort(clients, {}, &wire::native::ClientInfo::connection);
  return clients;
}

bool Listeners::kick(std::uint64_t connection) {
  for (const auto& opened : opened_) {
    net::Connection* const found = opened->listener().find(connection);
    if (found == nullptr) continue;
    found->close("kicked");
    return true;
  }
  return false;
}

void Listeners::report(std::size_t limit) {
  std::size_t largest = 0;
  std::size_t slow = 0;
  for_each([&](const Frontend&, net::Connection& connection) {
    const std::size_t queued = connection.queued_bytes();
    largest = std::max(largest, queued);
    slow += queued > limit / 2 ? 1 : 0;
  });
  metrics_.queue_bytes.Set(static_cast<double>(server_.queued_bytes()));
  metrics_.largest_queue_bytes.Set(static_cast<double>(largest));
  metrics_.slow_clients.Set(static_cast<double>(slow));
  for (const auto& opened : opened_) opened->report();
  for (const Role role : {Role::snapshot, Role::updates, Role::collector}) {
    metrics_.accept_paused.Add({{"role", name(role)}})
        .Set(limits_[static_cast<std::size_t>(role)].full() ? 1 : 0);
  }
  metrics_.clients.Set(static_cast<double>(clients()));
}

}  // namespace canopy::proxy
