#include "proxy/clone_frontend.h"

#include <algorithm>

#include "core/base/text.h"

namespace canopy::proxy {

namespace clone = wire::clone;

CloneFrontend::CloneFrontend(clone::Dialect dialect, config::Endpoint first,
                             const config::Proxy& config, Metrics& metrics, Backend& backend)
    : dialect_(dialect),
      first_(std::move(first)),
      snapshots_(dialect, config, metrics, backend, cuts_),
      updates_(dialect, config, metrics, backend, cuts_),
      collector_(dialect, metrics, backend) {}

std::vector<Opening> CloneFrontend::openings() {
  const std::string dialect(clone::name(dialect_));
  const auto collecting =
      dialect_ == clone::Dialect::chp ? zmtp::SocketType::sub : zmtp::SocketType::pull;
  return {{.role = Role::snapshot,
           .type = zmtp::SocketType::router,
           .endpoint = first_,
           .dialect = dialect,
           .label = "snapshot",
           .events = &snapshots_},
          {.role = Role::updates,
           .type = zmtp::SocketType::xpub,
           .endpoint = config::next_port(first_, 1),
           .dialect = dialect,
           .label = "updates",
           .events = &updates_},
          {.role = Role::collector,
           .type = collecting,
           .endpoint = config::next_port(first_, 2),
           .dialect = dialect,
           .label = "collector",
           .events = &collector_}};
}

void CloneFrontend::announce(coordination::ProxyMember& member,
                             const std::vector<config::Endpoint>& endpoints) const {
  const coordination::Triple triple{endpoints.at(0), endpoints.at(1), endpoints.at(2)};
  switch (dialect_) {
    case clone::Dialect::kvsimple: member.kvsimple = triple; break;
    case clone::Dialect::kvmsg: member.kvmsg = triple; break;
    case clone::Dialect::chp: member.chp = triple; break;
  }
}

std::optional<base::Duration> CloneFrontend::serve(base::TimePoint) {
  const auto snapshots = snapshots_.serve();
  const auto catch_ups = updates_.serve();
  if (!snapshots || !catch_ups) return snapshots ? snapshots : catch_ups;
  return std::min(*snapshots, *catch_ups);
}

void CloneFrontend::second(base::TimePoint) {
  snapshots_.expire();
  if (dialect_ == clone::Dialect::chp) updates_.send_heartbeat();
}

ClientView CloneFrontend::describe(const net::Connection& connection) const {
  ClientView view{.name = connection.info().user, .protocol = std::string(clone::name(dialect_))};
  if (view.name.empty()) view.name = base::one_line(connection.info().routing_id);
  updates_.describe(connection, view);
  return view;
}

}  // namespace canopy::proxy
