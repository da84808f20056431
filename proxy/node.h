// A proxy at work: the one place where what shards and clients send becomes calls, and what these
// answer becomes sends.
//
// The way of one update: shard → Upstream (mirror) → take() → pending_ and the streams → flush() →
// each Frontend. The way of one write: Frontend → write() → Upstream → shard, and for a native
// client its answer back: Upstream → NativeFrontend.
#pragma once

#include <functional>
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
#include "proxy/native_frontend.h"
#include "proxy/upstream.h"

namespace canopy::proxy {

class Node final : private Backend {
 public:
  // Everything bound and announced, or why not.
  static base::Result<std::unique_ptr<Node>> start(const config::Cluster& cluster,
                                                   const config::Proxy& proxy, net::Loop& loop);
  ~Node() override;

  // Out of the directory, doors closed; native clients are told to move. Calls back once they have,
  // or had the time to.
  void drain(std::function<void()> drained);
  // Passes on what was taken; the last thing before the end.
  void finish();

 private:
  Node(const config::Cluster& cluster, const config::Proxy& proxy, net::Loop& loop);
  base::Status open();
  base::Status check_descriptors() const;

  wire::Fault write(wire::RoutedRequest request) override;
  void need(std::string_view prefix) override;
  bool ready(std::string_view prefix) const override;
  Cut cut(std::string_view prefix) const override;
  void connections_changed() override;

  void take(std::span<const keyspace::UpdatePtr> updates, std::size_t shard,
            base::TimePoint committed);
  void end_turn();
  void flush(base::TimePoint now);
  void wake_in(base::Duration delay);
  void admit();
  void arm_doors(Role role, std::uint64_t room);
  void tick();
  void second();
  void check_drained();
  void announce();
  void announce_vitals();
  const char* state() const;
  void report();

  const config::Proxy& config_;
  net::Loop& loop_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  net::Context context_;
  std::unique_ptr<coordination::Coordinator> coordinator_;
  Upstream upstream_;
  std::vector<std::unique_ptr<Frontend>> frontends_;
  NativeFrontend* native_ = nullptr;  // one of them
  Admission admission_;
  std::size_t door_turn_ = 0;
  FlushPacer pacer_;
  std::int64_t last_stamp_;
  std::vector<Stamped> pending_;
  std::optional<base::TimePoint> wake_at_;
  net::Loop::TimerId wake_timer_ = 0;
  base::Duration drain_patience_;
  std::function<void()> drained_{};  // set while draining
  base::TimePoint drain_until_{};
  std::string announced_;
};

}  // namespace canopy::proxy
