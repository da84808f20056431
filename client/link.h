// A connection for frames of the native protocol, to one peer at a time. Belongs to the loop's
// thread, and may be destroyed between two of its handlers.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/access/keys.h"
#include "core/base/result.h"
#include "core/net/connections.h"
#include "core/net/connector.h"

namespace canopy::client {

// Handlers may call connect(), disconnect() and send().
struct LinkEvents {
  std::function<void(std::string_view frame)> on_frame{};
  // The connection has ended or could not be made; the link has begun the next try.
  std::function<void()> on_lost{};
};

class Link final : private net::ConnectionEvents {
 public:
  // Links may share `server`, which outlives them. With `keys` the connection speaks CURVE.
  Link(net::Connections& server, const std::optional<access::ClientKeys>& keys, LinkEvents events);

  // Disconnects from the peer before. Fails for what is no endpoint.
  base::Status connect(const std::string& endpoint);
  // No event of this peer follows, and frames that wait to be sent are dropped.
  void disconnect();
  // Queues the frame until there is a connection. A connection that ends drops what it has not
  // sent.
  void send(std::string frame);

 private:
  void on_ready(net::Connection& connection) override;
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_closed(net::Connection& connection, std::string_view reason) override;
  void on_unreachable() override;

  const LinkEvents events_;
  net::Connection* connection_ = nullptr;  // not one that was left
  std::vector<std::string> unsent_;
  net::Connector connector_;
};

}  // namespace canopy::client
