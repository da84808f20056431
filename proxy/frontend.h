// One way into the proxy for clients: a few listening sockets, each with a role, and whatever is
// spoken over them. The node opens and shuts the doors of all frontends alike.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/config/cluster.h"
#include "core/config/endpoint.h"
#include "core/coordination/member.h"
#include "core/net/monitor.h"
#include "core/net/socket.h"
#include "proxy/admission.h"
#include "proxy/guard.h"
#include "proxy/metrics.h"
#include "proxy/peers.h"
#include "proxy/stamped.h"

namespace canopy::proxy {

// A bound socket that clients connect to, and the watch over its connections.
struct Listener {
  Listener(net::Context& context, net::SocketType type, const net::SocketOptions& options,
           const access::KeyPair* keys, config::Endpoint listen_at, const std::string& monitor_name,
           metrics::Gauge& connections)
      : socket(context, type, net::listening(options, keys)),
        monitor(context, socket, monitor_name),
        endpoint(std::move(listen_at)),
        gauge(connections) {}

  net::Socket socket;
  net::Monitor monitor;
  config::Endpoint endpoint;
  metrics::Gauge& gauge;
  Peers peers{};  // with security
};

class Frontend {
 public:
  virtual ~Frontend() = default;

  base::Status bind(std::chrono::milliseconds patience);
  // Lets further connections of a role in, or nobody; clients that are in stay.
  void arm(Role role, std::uint64_t room, base::TimePoint now);
  // 0 for a role that it does not have.
  std::size_t connections(Role role) const;

  // Reads what the monitors have to say of who comes and goes.
  virtual void look() = 0;
  // Ends the connections of these clients, as far as they have said anything.
  void cut(const std::vector<std::string>& names);
  // Handshakes that failed; with security.
  void count_failed_handshakes(metrics::Registry& registry);

  // Fans out, in order.
  virtual void publish(std::span<const Stamped> updates) = 0;
  // Answers what clients asked for, as far as they can take it. How long until this wants to be
  // called again; nothing while nobody waits.
  virtual std::optional<base::Duration> serve(bool full) = 0;
  // Whether serve() has catching up to do, beside what it does for updates.
  virtual bool catching_up() const = 0;
  // Heartbeats; called each second.
  virtual void second() {}
  // Adds where clients find it.
  virtual void announce(coordination::ProxyMember& member, const std::string& advertise) const = 0;
  virtual void report() = 0;

 protected:
  std::array<std::unique_ptr<Listener>, roles.size()> listeners_;  // null: no such role

  Listener& at(Role role) { return *listeners_[static_cast<std::size_t>(role)]; }
  const Listener& at(Role role) const { return *listeners_[static_cast<std::size_t>(role)]; }
  // Reads the monitor; true when connections came or went.
  bool count_connections(Role role, base::TimePoint now);
  std::string advertised(Role role, const std::string& advertise) const;
};

}  // namespace canopy::proxy
