// The collector of a Clone dialect: the updates that its clients push. Tested without sockets.
#pragma once

#include "core/base/log.h"
#include "core/net/connection.h"
#include "core/wire/clone.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"

namespace canopy::proxy {

class CloneCollector final : public net::ConnectionEvents {
 public:
  CloneCollector(wire::clone::Dialect dialect, Metrics& metrics, Backend& backend);

  void on_ready(net::Connection&) override {}
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_subscription(net::Connection&, std::string_view, bool) override {}
  void on_drained(net::Connection&) override {}
  void on_closed(net::Connection&, std::string_view) override {}

 private:
  wire::clone::Dialect dialect_;
  Metrics& metrics_;
  Backend& backend_;
  metrics::Counter& received_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
