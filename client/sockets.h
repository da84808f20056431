// The sockets of a session on a loop: carries out what the session asks, and passes in what
// arrives. Belongs to the loop's thread, and may be destroyed between two of its handlers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/network.h"
#include "client/session.h"
#include "core/net/loop.h"
#include "core/net/socket.h"

namespace canopy::client {

class Sockets final : public Network {
 public:
  // Frames that libzmq takes from the kernel before the session has read them: at the size that
  // proxies fill batches to, 25 MB. Beyond it TCP lets the proxy wait.
  static constexpr int default_receive_hwm = 100;

  // `session`, which may be made later, is used once something arrives. With `keys` every
  // connection is CURVE's, else in the clear.
  Sockets(net::Context& context, net::Loop& loop, Session& session,
          const std::optional<net::CurveClient>& keys, int receive_hwm = default_receive_hwm);
  ~Sockets() override;

  // Starts the session, and its ticks.
  void start();

  void connect(const Target& target) override;
  void disconnect() override { close(proxy_); }
  void send(std::string frame) override;
  void ask_broker(const std::string& endpoint, std::string frame) override;
  void leave_broker() override { close(broker_); }

 private:
  using SocketPtr = std::unique_ptr<net::Socket>;
  using Receiver = void (Session::*)(std::string_view, base::TimePoint);

  void open(SocketPtr& socket, const std::string& endpoint, Receiver receiver);
  void close(SocketPtr& socket);
  void read(const SocketPtr& socket, Receiver receiver);

  net::Context& context_;
  net::Loop& loop_;
  Session& session_;
  net::SocketOptions options_;
  SocketPtr proxy_, broker_;
  net::Message message_;
};

}  // namespace canopy::client
