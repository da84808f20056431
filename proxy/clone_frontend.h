// The face that unmodified Clone clients see, in one dialect: snapshot ROUTER, updates XPUB,
// collector (PULL; SUB for chp), on three consecutive ports. Belongs to the node's loop.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

#include "core/base/log.h"
#include "core/config/cluster.h"
#include "core/net/loop.h"
#include "core/wire/clone.h"
#include "core/wire/link.h"
#include "proxy/frontend.h"
#include "proxy/join_gate.h"
#include "proxy/metrics.h"
#include "proxy/mirror_lease.h"
#include "proxy/snapshots.h"
#include "proxy/subscriptions.h"
#include "proxy/topics.h"

namespace canopy::proxy {

// What a frontend needs of its proxy.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual wire::Fault write(wire::RoutedRequest request) = 0;
  // Mirrors what may hold keys under the prefix for as long as the lease is kept.
  virtual MirrorLease lease(std::string_view prefix) = 0;
  virtual bool ready(std::string_view prefix) const = 0;
  virtual Cut cut(std::string_view prefix) const = 0;
  virtual void connections_changed() = 0;
};

class CloneFrontend final : public Frontend {
 public:
  CloneFrontend(wire::clone::Dialect dialect, const config::Endpoint& first,
                const config::Proxy& proxy, net::Context& context, net::Loop& loop,
                Metrics& metrics, Guard& guard, Backend& backend);

  void look() override;
  void publish(std::span<const Stamped> updates) override;
  std::optional<base::Duration> serve(bool full) override;
  bool catching_up() const override { return snapshots_.size() > 0; }
  void second() override;
  void announce(coordination::ProxyMember& member, const std::string& advertise) const override;
  void report() override;

 private:
  void read_monitor(Role role) override;
  bool begin(std::string_view topic, const net::Message& message);
  bool is_heartbeat(std::string_view topic) const;
  void forget_ended();
  void take_request(PeerId peer);
  void read_requests();
  void read_writes();
  std::set<std::string> silent_addresses(base::TimePoint now) const;
  void open_snapshots(base::TimePoint now);
  void send(std::span<const std::string_view> frames);
  Delivery deliver(PeerId peer, std::span<const std::string_view> frames);
  void finished(PeerId peer, const char* result, base::Duration took);

  wire::clone::Dialect dialect_;
  net::Loop& loop_;
  Metrics& metrics_;
  Guard& guard_;
  Backend& backend_;
  net::Message message_;
  std::unique_ptr<Topics> topics_;
  Subscriptions subscriptions_;
  MirrorLease everything_;  // once there are subscriptions that are not counted
  JoinGate gate_;
  std::deque<JoinGate::Request> released_;         // wait for a mirror or for a free place
  std::unordered_map<PeerId, std::size_t> asked_;  // snapshots that a client waits for
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
