// The face that unmodified Clone clients see, in one dialect: snapshot ROUTER, updates XPUB,
// collector (PULL; SUB for chp), on three consecutive ports. Belongs to the node's loop.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include "core/base/log.h"
#include "core/config/cluster.h"
#include "core/net/loop.h"
#include "core/net/monitor.h"
#include "core/wire/clone.h"
#include "proxy/admission.h"
#include "proxy/join_gate.h"
#include "proxy/metrics.h"
#include "proxy/snapshots.h"
#include "proxy/stamped.h"
#include "proxy/subscriptions.h"

namespace canopy::proxy {

// What a frontend needs of its proxy.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual void write(wire::Write write) = 0;
  virtual void need(std::string_view prefix) = 0;
  virtual bool ready(std::string_view prefix) const = 0;
  virtual Cut cut(std::string_view prefix) const = 0;
  virtual void connections_changed() = 0;
};

class CloneFrontend {
 public:
  CloneFrontend(wire::clone::Dialect dialect, const config::Endpoint& first,
                const config::Proxy& proxy, net::Context& context, net::Loop& loop,
                Metrics& metrics, Backend& backend);

  base::Status bind(std::chrono::milliseconds patience);
  // Lets the next connection of a role in, or nobody; clients that are in stay.
  void arm(Role role, bool open);
  std::size_t connections(Role role) const;
  const config::Endpoint& endpoint(Role role) const;
  wire::clone::Dialect dialect() const { return dialect_; }

  // Fans out, in order.
  void publish(std::span<const Stamped> updates);
  // chp: says that this server lives; each second.
  void heartbeat();
  // Answers the snapshot requests whose time has come and sends what clients can take. How long
  // until this wants to be called again; nothing while no snapshot is under way.
  std::optional<base::Duration> serve_snapshots(bool full);
  // Keeps the mirrors of what clients subscribe to.
  void renew_needs();
  void report();

 private:
  struct Listener {
    Listener(net::Context& context, net::SocketType type, const net::SocketOptions& options,
             config::Endpoint at, const std::string& monitor_name, metrics::Gauge& gauge);
    net::Socket socket;
    net::Monitor monitor;
    config::Endpoint endpoint;
    metrics::Gauge& gauge;
  };

  Listener& at(Role role) { return *listeners_[static_cast<std::size_t>(role)]; }
  const Listener& at(Role role) const { return *listeners_[static_cast<std::size_t>(role)]; }
  void read_monitor(Role role);
  void read_subscriptions();
  void read_requests();
  void read_writes();
  bool subscriptions_pending(base::TimePoint now) const;
  void send(std::span<const std::string_view> frames);
  Delivery deliver(const std::string& peer, std::span<const std::string_view> frames);
  void finished(const char* result, base::Duration took);

  wire::clone::Dialect dialect_;
  net::Loop& loop_;
  Metrics& metrics_;
  Backend& backend_;
  std::array<std::unique_ptr<Listener>, roles.size()> listeners_;
  net::Message message_;
  Subscriptions subscriptions_;
  JoinGate gate_;
  std::deque<JoinGate::Request> released_;  // wait for a mirror or for a free place
  std::size_t max_snapshots_;
  Snapshots snapshots_;
  metrics::Counter& writes_received_;
  metrics::Counter& delivered_;
  metrics::Counter& delivered_bytes_;
  metrics::Counter& blocked_;
  metrics::Gauge& waiting_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
