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
        gauge(connections),
        peers(keys != nullptr, context) {}

  net::Socket socket;
  net::Monitor monitor;
  config::Endpoint endpoint;
  metrics::Gauge& gauge;
  Peers peers;
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
  // Counts the connections that were closed for cause, and the handshakes that failed; with
  // security by reason.
  void count_closed(metrics::Registry& registry, bool guarded);

  // Fans out, in order.
  virtual void publish(std::span<const Stamped> updates) = 0;
  // Answers what clients asked for, as far as they can take it. How long until this wants to be
  // called again; nothing while nobody waits.
  virtual std::optional<base::Duration> serve(bool full) = 0;
  // Whether serve() has catching up to do, beside what it does for updates.
  virtual bool catching_up() const = 0;
  // Heartbeats; called each second.
  virtual void second() = 0;
  // Adds where clients find it.
  virtual void announce(coordination::ProxyMember& member, const std::string& advertise) const = 0;
  virtual void report() = 0;

 protected:
  std::array<std::unique_ptr<Listener>, roles.size()> listeners_;  // null: no such role

  Listener& at(Role role) { return *listeners_[static_cast<std::size_t>(role)]; }
  const Listener& at(Role role) const { return *listeners_[static_cast<std::size_t>(role)]; }
  // Reads the monitor; true when connections came or went.
  bool count_connections(Role role, base::TimePoint now);
  // The same, and forgets the connections that have ended.
  virtual void read_monitor(Role role) = 0;
  // False for a message that is larger than a client may send; its connection is closed.
  bool acceptable(Role role, const net::Message& message);
  // Reads the next message; false when none waits.
  bool receive(Role role, net::Message& message);
  // The connection that a request came over; 0 when it has ended.
  PeerId requester(Role role, const net::Message& message);
  // To be called once a turn: finds out when the last messages of connections that ended are read.
  void settle(Role role);
  // Sends the routing id of a connection, to a ROUTER; when it is sent the frames of the reply must
  // follow, and reach this connection or nobody.
  net::SendResult begin_reply(Role role, PeerId peer);
  std::string advertised(Role role, const std::string& advertise) const;
};

}  // namespace canopy::proxy
