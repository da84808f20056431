// The listening sockets of a proxy, one for each opening of its frontends. They share security, the
// accept limits of the roles, and counters. Belongs to the node's loop.
//
// A Clone client makes up to three connections, one for each role. Each role admits at most
// max_clients over all frontends. At that limit no listener of the role accepts.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/cluster.h"
#include "core/net/closings.h"
#include "core/net/connections.h"
#include "core/net/curve_server.h"
#include "proxy/frontend.h"
#include "proxy/guard.h"
#include "proxy/metrics.h"

namespace canopy::proxy {

class Listeners {
 public:
  // All outlive it.
  Listeners(net::Connections& server, Guard& guard, Metrics& metrics);

  // Listens for the frontend. No connection is accepted before admit().
  base::Status open(Frontend& frontend, const config::Proxy& config,
                    std::chrono::milliseconds timeout);
  // The bound endpoints of the frontend, in the order of its openings.
  std::vector<config::Endpoint> endpoints(const Frontend& frontend) const;

  // Sets the accept limit of each role. Open connections stay.
  void admit(std::size_t connections);
  // Connected clients: the connections of the largest role.
  std::size_t clients() const;
  // Closes the connections of the clients with these names.
  void close(const std::vector<std::string>& names, std::string_view reason);
  // All connections, oldest first.
  std::vector<wire::native::ClientInfo> describe(base::TimePoint now) const;
  // False when there is no such connection.
  bool kick(std::uint64_t connection);
  using Visit = std::function<void(const Frontend& frontend, net::Connection& connection)>;
  void for_each(const Visit& visit) const;

  // Sets gauges. `queue_limit`: bytes that the queue of one connection may hold.
  void report(std::size_t queue_limit);

 private:
  struct Opened {
    const Frontend* frontend;
    std::string role;  // " updates"; empty when it is the frontend's only one
    metrics::Gauge* connections;
    std::unique_ptr<net::Listener> listener;
  };
  static constexpr std::size_t roles = 3;
  net::AcceptLimit& limit(Role role) { return limits_[static_cast<std::size_t>(role)]; }
  net::ListenerSettings settings(const Opening& opening, const config::Proxy& config);

  net::Connections& server_;
  Guard& guard_;
  Metrics& metrics_;
  zmtp::CurveServer curve_{};
  net::Closings closings_;
  std::array<net::AcceptLimit, roles> limits_{net::AcceptLimit(0), net::AcceptLimit(0),
                                              net::AcceptLimit(0)};
  std::vector<Opened> opened_;
};

}  // namespace canopy::proxy
