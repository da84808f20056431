// A proxy at work: the one place where what shards and clients send becomes calls, and what these
// answer becomes sends.
//
// The way of one update: shard → Upstream (mirror) → stamp() → pending_ → flush() → each
// CloneFrontend. The way of one write: CloneFrontend → write() → Upstream → shard.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config/cluster.h"
#include "core/coordination/coordinator.h"
#include "core/metrics/http.h"
#include "core/net/loop.h"
#include "proxy/admission.h"
#include "proxy/clone_frontend.h"
#include "proxy/flush_pacer.h"
#include "proxy/metrics.h"
#include "proxy/upstream.h"

namespace canopy::proxy {

class Node final : private Backend {
 public:
  // Everything bound and announced, or why not.
  static base::Result<std::unique_ptr<Node>> start(const config::Cluster& cluster,
                                                   const config::Proxy& proxy, net::Loop& loop);
  ~Node() override;

  // Out of the directory, doors closed, writes passed on.
  void drain();

 private:
  Node(const config::Cluster& cluster, const config::Proxy& proxy, net::Loop& loop);
  base::Status open();
  base::Status check_descriptors() const;

  void write(wire::Write write) override;
  void need(std::string_view prefix) override;
  bool ready(std::string_view prefix) const override;
  Cut cut(std::string_view prefix) const override;
  void connections_changed() override;

  void stamp(std::span<const keyspace::UpdatePtr> updates, base::TimePoint committed);
  void end_turn();
  void flush(base::TimePoint now);
  void wake_in(base::Duration delay);
  void admit();
  void arm_doors(Role role, std::uint64_t room);
  void tick();
  void second();
  void announce();
  const char* state() const;
  void report();

  const config::Proxy& config_;
  net::Loop& loop_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  net::Context context_;
  std::unique_ptr<coordination::Coordinator> coordinator_;
  Upstream upstream_;
  std::vector<std::unique_ptr<CloneFrontend>> frontends_;
  Admission admission_;
  std::size_t door_turn_ = 0;
  FlushPacer pacer_;
  std::int64_t last_stamp_;
  std::vector<Stamped> pending_;
  std::optional<base::TimePoint> wake_at_;
  net::Loop::TimerId wake_timer_ = 0;
  bool draining_ = false;
  std::string announced_;
};

}  // namespace canopy::proxy
