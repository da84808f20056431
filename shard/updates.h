// Publishes the batches of a shard: an XPUB socket whose proxies subscribe to topics. Belongs to
// the server's loop. Format: core/wire/link.h.
//
// A batch is encoded once, and all connections queue the same bytes. A proxy with a full queue
// misses whole batches. It finds the hole in the revisions and sends a sync.
#pragma once

#include <string>
#include <string_view>

#include "core/net/closings.h"
#include "core/net/connections.h"

namespace canopy::shard {

class Updates final : private net::ConnectionEvents {
 public:
  struct Settings {
    net::StreamAddress address{};
    const zmtp::CurveServer* curve = nullptr;  // null: without encryption; outlives this
    std::size_t queue_bytes = 0;               // bound for each proxy
    int send_buffer_bytes = 0;                 // SO_SNDBUF; 0: the kernel's default
  };
  // `server` and `closings` outlive this.
  Updates(net::Connections& server, const Settings& settings, net::Closings& closings);

  base::Status open(std::chrono::milliseconds timeout) { return listener_.open(timeout); }
  const std::string& endpoint() const { return listener_.endpoint(); }

  // `batch` begins with its topic.
  void publish(std::string_view batch);

 private:
  void on_ready(net::Connection& connection) override;
  void on_subscription(net::Connection& connection, std::string_view topic, bool begins) override;

  const std::size_t queue_bytes_;
  net::Listener listener_;
};

}  // namespace canopy::shard
