// The shard's publishing side: an XPUB whose proxies subscribe to the topics of batches.
//
// A batch is encoded once, and all connections queue the same bytes. A proxy whose queue is full
// misses whole batches; it finds the hole in the revisions and asks for what it misses. Belongs to
// the server's loop.
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
    const zmtp::CurveServer* curve = nullptr;  // null: in the clear; else outlives this
    std::size_t queue_bytes = 0;               // of each proxy
    int send_buffer_bytes = 0;                 // of the kernel; 0: its default
  };
  // `server` and `closings` outlive this.
  Updates(net::Connections& server, const Settings& settings, net::Closings& closings);

  base::Status open(std::chrono::milliseconds patience) { return listener_.open(patience); }
  const std::string& endpoint() const { return listener_.endpoint(); }

  // `batch` opens with its topic.
  void publish(std::string_view batch);

 private:
  void on_ready(net::Connection& connection) override;
  void on_subscription(net::Connection& connection, std::string_view topic, bool begins) override;

  const std::size_t queue_bytes_;
  net::Listener listener_;
};

}  // namespace canopy::shard
