// A running proxy: builds its parts and connects them. All calls come from the loop's thread; the
// loop outlives it.
//
// The way of one update: shard → Upstream (mirror) → apply() → FanOut → each Frontend → its
// connections. The way of one write: connection → Frontend → write() → Upstream → shard; the answer
// returns the same way.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/config/program.h"
#include "core/coordination/coordinator.h"
#include "core/metrics/http.h"
#include "core/net/connections.h"
#include "core/net/loop.h"
#include "proxy/fan_out.h"
#include "proxy/frontend.h"
#include "proxy/guard.h"
#include "proxy/listeners.h"
#include "proxy/metrics.h"
#include "proxy/upstream.h"

namespace canopy::proxy {

class Node final : private Backend {
 public:
  // Binds every listener and announces the proxy; an error says why it cannot.
  static base::Result<std::unique_ptr<Node>> start(const config::Cluster& cluster,
                                                   const config::Proxy& proxy, net::Loop& loop);

  // Leaves the directory, stops accepting and asks clients to move, where their protocol has a
  // message for it. Calls `drained` once they have moved or the drain time is over.
  void drain(std::function<void()> drained);
  // Applies the settings that may change while the proxy runs.
  void reload(config::Start& running);
  // Flushes every received update; the last call before the end.
  void finish();

  // One line: "ready, 12 of 300 clients".
  std::string summary() const;

 private:
  Node(const config::Cluster& cluster, const config::Proxy& proxy, net::Loop& loop);
  base::Status open();
  base::Status check_descriptors(const config::Proxy& wanted) const;
  base::Status apply_config(const config::Proxy& wanted);
  void set_permissions(const config::Security& security);

  wire::Fault write(wire::RoutedRequest request) override {
    return upstream_.forward(std::move(request));
  }
  MirrorLease lease(std::string_view prefix) override { return upstream_.lease(prefix); }
  const Partitions& partitions() const override { return upstream_; }
  bool ready(std::string_view prefix) const override { return upstream_.ready(prefix); }
  std::int64_t last_stamp() const override { return last_stamp_; }
  std::int64_t next_stamp() override { return ++last_stamp_; }
  std::size_t queue_limit() const override;
  bool may_read(const net::Connection& connection, std::string_view prefix,
                std::string_view what) override {
    return guard_.may_read(connection.info().user, prefix, what);
  }
  bool may_write(const net::Connection& connection, std::string_view key) override {
    return guard_.may_write(connection.info().user, key);
  }
  bool may_administer(const net::Connection& connection) override {
    return guard_.may_administer(connection.info().user);
  }
  std::vector<wire::native::ClientInfo> clients() const override {
    return listeners_.describe(loop_.now());
  }
  bool kick(std::uint64_t connection) override { return listeners_.kick(connection); }
  base::TimePoint now() const override { return loop_.now(); }

  void serve_clients();
  void begin_generation(std::uint32_t generation);
  void apply(std::span<const keyspace::UpdatePtr> updates, std::size_t shard,
             base::TimePoint committed);
  void end_turn();
  void wake_in(base::Duration delay);
  void admit();
  void notice_full();
  bool full() const { return listeners_.clients() >= config_.max_clients; }
  void on_heartbeat();
  void check_drained();
  void announce();
  void announce_vitals();
  const char* state() const;
  void report();

  config::Proxy config_;      // its parts hold references to it; a reload changes it
  base::FileRead file_read_;  // reported to the broker
  net::Loop& loop_;
  base::TimePoint started_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  Guard guard_;
  std::unique_ptr<coordination::Coordinator> coordinator_;
  Upstream upstream_;
  net::Connections server_;
  FanOut fan_out_;
  Listeners listeners_;
  std::uint32_t generation_ = 0;  // granted by the directory; 0: no client is served yet
  std::int64_t last_stamp_ = 0;   // generation above, a counter of 40 bits below
  bool was_full_ = false;
  std::optional<base::TimePoint> wake_at_;
  net::Loop::TimerId wake_timer_ = 0;
  base::Duration drain_timeout_;
  std::uint64_t descriptors_at_start_ = 0;  // before any client connects
  std::uint64_t reserved_descriptors_;      // beside those of clients
  std::function<void()> drained_{};         // set while draining
  base::TimePoint drain_until_{};
  std::string announced_;
};

}  // namespace canopy::proxy
