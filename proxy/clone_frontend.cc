#include "proxy/clone_frontend.h"

#include <algorithm>

#include "core/base/text.h"

namespace canopy::proxy {

namespace clone = wire::clone;

namespace {

// Snapshots and catch-ups fill a connection's queue up to this mark. At least half of
// `client_queue_bytes` is left to live updates.
constexpr std::size_t most_queued = std::size_t{1} << 20;

}  // namespace

CloneFrontend::CloneFrontend(clone::Dialect dialect, config::Endpoint first,
                             const config::Proxy& config, Metrics& metrics, Backend& backend)
    : dialect_(dialect),
      first_(std::move(first)),
      metrics_(metrics),
      backend_(backend),
      high_water_(std::min<std::size_t>(most_queued, config.client_queue_bytes / 2)),
      snapshots_(dialect, config, metrics, backend, cuts_, high_water_),
      updates_(dialect, config, metrics, backend, cuts_, high_water_),
      writes_received_(
          metrics.writes_received.Add({{"dialect", std::string(clone::name(dialect))}})) {}

std::vector<Opening> CloneFrontend::openings() {
  const std::string dialect(clone::name(dialect_));
  const auto collecting =
      dialect_ == clone::Dialect::chp ? zmtp::SocketType::sub : zmtp::SocketType::pull;
  const auto opening = [&](Role role, int offset, zmtp::SocketType type, const char* label,
                           net::ConnectionEvents& events) {
    return Opening{.role = role,
                   .type = type,
                   .endpoint = base::next_port(first_, offset),
                   .dialect = dialect,
                   .label = label,
                   .events = &events,
                   .high_water_bytes = high_water_,
                   .low_water_bytes = high_water_ / 4};
  };
  return {opening(Role::snapshot, 0, zmtp::SocketType::router, "snapshot", snapshots_),
          opening(Role::updates, 1, zmtp::SocketType::xpub, "updates", updates_),
          opening(Role::collector, 2, collecting, "collector", *this)};
}

void CloneFrontend::announce(wire::ProxyMember& member,
                             const std::vector<config::Endpoint>& endpoints) const {
  const wire::Triple triple{endpoints.at(0), endpoints.at(1), endpoints.at(2)};
  switch (dialect_) {
    case clone::Dialect::kvsimple: member.kvsimple = triple; break;
    case clone::Dialect::kvmsg: member.kvmsg = triple; break;
    case clone::Dialect::chp: member.chp = triple; break;
  }
}

void CloneFrontend::on_message(net::Connection& connection,
                               std::span<const std::string_view> parts) {
  writes_received_.Increment();
  auto parsed = clone::parse_write(dialect_, parts);
  if (const auto* rejection = std::get_if<clone::Rejection>(&parsed)) {
    metrics_.reject(rejection->reason);
    log_.warn("clone", "update refused",
              {{"dialect", clone::name(dialect_)},
               {"address", connection.peer()},
               {"reason", rejection->reason}});
    return;
  }
  auto& [write, ignored] = std::get<clone::ClientWrite>(parsed);
  if (!backend_.may_write(connection, write.key)) return;
  if (!ignored.empty()) {
    metrics_.ignored_metadata.Add({{"reason", std::string(ignored)}}).Increment();
  }
  wire::RoutedRequest request;  // without `reply_to`: Clone clients expect no reply
  request.request.writes.push_back(std::move(write));
  const wire::Fault fault = backend_.write(std::move(request));
  if (fault != wire::Fault::none) metrics_.reject(wire::name(fault));
}

std::optional<base::Duration> CloneFrontend::serve(base::TimePoint) {
  const auto snapshots = snapshots_.serve();
  const auto catch_ups = updates_.serve();
  if (!snapshots || !catch_ups) return snapshots ? snapshots : catch_ups;
  return std::min(*snapshots, *catch_ups);
}

void CloneFrontend::on_heartbeat(base::TimePoint) {
  snapshots_.expire();
  if (dialect_ == clone::Dialect::chp) updates_.send_heartbeat();
}

wire::native::ClientInfo CloneFrontend::describe(const net::Connection& connection) const {
  wire::native::ClientInfo view{.name = connection.info().user,
                                .protocol = std::string(clone::name(dialect_))};
  if (view.name.empty()) view.name = base::one_line(connection.info().routing_id);
  updates_.describe(connection, view);
  return view;
}

}  // namespace canopy::proxy
