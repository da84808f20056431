// Serves unmodified Clone clients of one dialect, as a clone server on three consecutive ports.
// Opens no socket. Belongs to the node's loop. Format: core/wire/clone.h.
//
//   snapshot    ROUTER                 ICANHAZ? in, entries and KTHXBAI out     CloneSnapshots
//   updates     XPUB                   subscriptions in, updates out            CloneUpdates
//   collector   PULL; SUB for chp      updates in                               here
#pragma once

#include "proxy/clone_snapshots.h"
#include "proxy/clone_updates.h"
#include "proxy/frontend.h"

namespace canopy::proxy {

class CloneFrontend final : public Frontend, private net::ConnectionEvents {
 public:
  // `first`: the endpoint of the snapshot port. All references outlive it. `config` may change
  // meanwhile.
  CloneFrontend(wire::clone::Dialect dialect, config::Endpoint first, const config::Proxy& config,
                Metrics& metrics, Backend& backend);

  std::vector<Opening> openings() override;
  void announce(wire::ProxyMember& member,
                const std::vector<config::Endpoint>& endpoints) const override;

  void apply(const Stamped& stamped) override { updates_.apply(stamped); }
  std::size_t gathered() const override { return updates_.gathered(); }
  std::size_t gathered_bytes() const override { return updates_.gathered_bytes(); }
  bool flush(base::TimePoint) override { return updates_.flush(); }
  std::optional<base::Duration> serve(base::TimePoint now) override;
  void on_heartbeat(base::TimePoint now) override;
  void divide(std::size_t whole, std::size_t part, keyspace::Revision) override {
    cuts_.divide(whole, part);
    updates_.divide(whole, part);
  }

  wire::native::ClientInfo describe(const net::Connection& connection) const override;
  std::uint64_t missed() const override { return updates_.missed(); }

 private:
  // An update that a client pushes to the collector.
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;

  wire::clone::Dialect dialect_;
  config::Endpoint first_;
  Metrics& metrics_;
  Backend& backend_;
  std::size_t high_water_;  // of the connections' queues
  RecentCuts cuts_;
  CloneSnapshots snapshots_;
  CloneUpdates updates_;
  metrics::Counter& writes_received_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
