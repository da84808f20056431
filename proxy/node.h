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

#include "core/config/program.h"
#include "core/coordination/coordinator.h"
#include "core/metrics/http.h"
#include "core/net/loop.h"
#include "core/net/zap.h"
#include "proxy/admission.h"
#include "proxy/clone_frontend.h"
#include "proxy/flush_pacer.h"
#include "proxy/guard.h"
#include "proxy/metrics.h"
#include "proxy/native_frontend.h"
#include "proxy/pending_updates.h"
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
  // Takes on what can be changed while it runs.
  void reload(config::Start& running);
  // Passes on what was taken; the last thing before the end.
  void finish();

  // One line: "ready, 12 of 300 clients".
  std::string summary() const;

 private:
  Node(const config::Cluster& cluster, const config::Proxy& proxy, net::Loop& loop);
  base::Status open();
  base::Status check_descriptors(std::uint64_t max_clients) const;
  base::Status take_on(const config::Proxy& wanted);
  void set_permissions(const config::Security& security);
  std::optional<std::string> let_in(std::string_view public_key);

  wire::Fault write(wire::RoutedRequest request) override;
  MirrorLease lease(std::string_view prefix) override;
  bool ready(std::string_view prefix) const override;
  Cut cut(std::string_view prefix) const override;
  void connections_changed() override;

  void begin_generation(std::uint32_t generation);
  void take(std::span<const keyspace::UpdatePtr> updates, std::size_t shard,
            base::TimePoint committed);
  void end_turn();
  std::size_t gathered_bytes() const;
  void flush(base::TimePoint now);
  void serve();
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

  config::Proxy config_;      // those who refer to it see what a reload changes
  base::FileRead file_read_;  // as the broker is told
  net::Loop& loop_;
  base::TimePoint started_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  // Of its own: looking up the broker's name, while there is none, may hold up the I/O thread.
  net::Context directory_context_;
  net::Context context_;
  Guard guard_;
  std::optional<net::ZapHandler> zap_{};  // with security; before every socket that it guards
  std::unique_ptr<coordination::Coordinator> coordinator_;
  Upstream upstream_;
  std::vector<std::unique_ptr<Frontend>> frontends_;
  NativeFrontend* native_ = nullptr;  // one of them
  Admission admission_;
  std::size_t door_turn_ = 0;
  FlushPacer pacer_;
  base::Duration catching_up_{};  // of the loop's thread, so far
  std::uint32_t generation_ = 0;  // granted by the directory; 0: no client is served yet
  std::int64_t last_stamp_ = 0;   // generation above, a counter of 40 bits below
  PendingUpdates pending_;
  std::optional<base::TimePoint> wake_at_;
  net::Loop::TimerId wake_timer_ = 0;
  base::Duration drain_patience_;
  std::uint64_t descriptors_at_start_ = 0;  // before any client
  std::uint64_t reserved_descriptors_;      // beside those of clients
  std::function<void()> drained_{};         // set while draining
  base::TimePoint drain_until_{};
  std::string announced_;
};

}  // namespace canopy::proxy
