// The sockets of a session on a loop: carries out what the session asks, and passes in what
// arrives. Belongs to the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/network.h"
#include "client/session.h"
#include "core/net/loop.h"
#include "core/net/socket.h"

namespace canopy::client {

class Sockets final : public Network {
 public:
  // `session`, which may be made later, is used from start() on. With `keys` every connection is
  // CURVE's, else in the clear.
  Sockets(net::Context& context, net::Loop& loop, Session& session,
          std::optional<net::CurveClient> keys)
      : context_(context), loop_(loop), session_(session), keys_(std::move(keys)) {}

  // Starts the session, and its ticks.
  void start();
  // What was closed in this turn of the loop is gone; to be called at its end.
  void end_turn() { closing_.clear(); }

  void connect(const Target& target) override;
  void disconnect() override;
  void subscribe(std::string_view topic) override;
  void unsubscribe(std::string_view topic) override;
  void send(std::string frame) override;
  void ask_broker(const std::string& endpoint, std::string frame) override;
  void leave_broker() override;

 private:
  using SocketPtr = std::unique_ptr<net::Socket>;
  using Receiver = void (Session::*)(std::string_view, base::TimePoint);

  void open(SocketPtr& socket, net::SocketType type, const std::string& endpoint,
            Receiver receiver);
  void close(SocketPtr& socket);
  void read(const SocketPtr& socket, Receiver receiver);

  net::Context& context_;
  net::Loop& loop_;
  Session& session_;
  const std::optional<net::CurveClient> keys_;
  SocketPtr requests_, streams_, broker_;
  std::vector<SocketPtr> closing_;
  net::Message message_;
};

}  // namespace canopy::client
