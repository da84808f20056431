// What unmodified Clone clients see of a proxy, in one dialect: a clone server on three consecutive
// ports. Opens no socket; belongs to the node's loop.
//
//   snapshot    ROUTER                 ICANHAZ? in, entries and KTHXBAI out     CloneSnapshots
//   updates     XPUB                   subscriptions in, updates out            CloneUpdates
//   collector   PULL; SUB for chp      updates in                               CloneCollector
#pragma once

#include "proxy/clone_collector.h"
#include "proxy/clone_snapshots.h"
#include "proxy/clone_updates.h"
#include "proxy/frontend.h"

namespace canopy::proxy {

class CloneFrontend final : public Frontend {
 public:
  // `first`: the endpoint of the snapshot port. All references outlive it; `config` is read when
  // it counts.
  CloneFrontend(wire::clone::Dialect dialect, config::Endpoint first, const config::Proxy& config,
                Metrics& metrics, Backend& backend);

  std::vector<Opening> openings() override;
  void announce(coordination::ProxyMember& member,
                const std::vector<config::Endpoint>& endpoints) const override;

  // Stamps are the backend's.
  void begin_generation(std::uint32_t) override {}
  void apply(const Stamped& stamped, std::size_t shard) override { updates_.apply(stamped, shard); }
  std::size_t gathered() const override { return updates_.gathered(); }
  std::size_t gathered_bytes() const override { return updates_.gathered_bytes(); }
  bool flush(base::TimePoint) override { return updates_.flush(); }
  std::optional<base::Duration> serve(base::TimePoint now) override;
  void second(base::TimePoint now) override;
  // No word of the Clone protocols says so: clients notice when the proxy is gone.
  void drain(base::Duration) override {}

  wire::native::ClientInfo describe(const net::Connection& connection) const override;
  std::uint64_t missed() const override { return updates_.missed(); }
  void report() override {}

 private:
  wire::clone::Dialect dialect_;
  config::Endpoint first_;
  std::size_t high_water_;  // of the connections, as the frontend was made
  RecentCuts cuts_;
  CloneSnapshots snapshots_;
  CloneUpdates updates_;
  CloneCollector collector_;
};

}  // namespace canopy::proxy
