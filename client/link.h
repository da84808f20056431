// A connection on which the native protocol is spoken, to one peer at a time. Belongs to the loop's
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

// Either may call connect(), disconnect() and send().
struct LinkEvents {
  std::function<void(std::string_view frame)> on_frame{};
  // The connection has ended, or none could be made; the next try has begun.
  std::function<void()> on_lost{};
};

class Link final : private net::ConnectionEvents {
 public:
  // `server` may be shared by any number. With `keys` the connection is CURVE's, else in the clear.
  Link(net::Connections& server, const std::optional<access::ClientKeys>& keys, LinkEvents events);

  // Leaves the peer before. The error: no endpoint.
  base::Status connect(const std::string& endpoint);
  // Nothing of this peer is heard any more, and what waits to be sent is forgotten.
  void disconnect();
  // Waits until there is a connection; one that ends takes with it what it has not sent.
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
