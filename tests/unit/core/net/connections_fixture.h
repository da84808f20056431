// Connections with one listener, and its peers: libzmq's sockets, and bare connections.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "core/net/connections.h"
#include "tests/unit/core/net/run_until.h"
#include "tests/unit/core/zmtp/libzmq_peer.h"

namespace canopy::net {

using namespace std::chrono_literals;
using zmtp::Parts;

// Answers every message with itself; publishes nothing by itself.
class Owner : public ConnectionEvents {
 public:
  void on_ready(Connection& connection) override { ready.push_back(connection.id()); }
  void on_message(Connection& connection, std::span<const std::string_view> parts) override {
    messages.emplace_back(parts.begin(), parts.end());
    if (echoes) connection.send(parts);
    if (closes) connection.close("asked");
  }
  void on_subscription(Connection& connection, std::string_view topic, bool begins) override {
    subscriptions[connection.id()].emplace_back(topic, begins);
  }
  void on_drained(Connection&) override { ++drained; }
  void on_closed(Connection& connection, std::string_view reason) override {
    closed.emplace_back(reason);
    was_ready.push_back(connection.ready());
  }

  bool echoes = true;
  bool closes = false;
  int drained = 0;
  std::vector<std::uint64_t> ready;
  std::vector<Parts> messages;
  std::map<std::uint64_t, std::vector<std::pair<std::string, bool>>> subscriptions;
  std::vector<std::string> closed;
  std::vector<bool> was_ready;
};

class ConnectionsTest : public testing::Test {
 protected:
  // A listener at a free port of the loopback, unless `settings` says where.
  Listener& listen(zmtp::SocketType type, ListenerSettings settings = {}) {
    if (settings.address.host.empty() && !settings.address.ipc()) {
      settings.address.host = "127.0.0.1";
    }
    settings.connection.peer.type = type;
    listener_ = std::make_unique<Listener>(connections_, std::move(settings), owner_);
    const auto status = listener_->open();
    EXPECT_TRUE(status) << status.error();
    return *listener_;
  }
  zmq::socket_t connect(zmq::socket_type type) {
    zmq::socket_t made(context_, type);
    made.set(zmq::sockopt::linger, 0);
    made.set(zmq::sockopt::rcvtimeo, 10'000);
    made.connect(listener_->endpoint());
    return made;
  }
  // A bare TCP connection; 0: with the kernel's usual receive buffer.
  Descriptor dial(int receive_buffer_bytes = 0) {
    Descriptor made(socket(AF_INET, SOCK_STREAM, 0));
    if (receive_buffer_bytes > 0) {
      setsockopt(made.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string& endpoint = listener_->endpoint();
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    EXPECT_EQ(::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return made;
  }
  template <typename Met>
  bool run_until(Met met) {
    return net::run_until(loop_, met);
  }
  Connection& only() {
    Connection* found = nullptr;
    listener_->for_each([&](Connection& connection) { found = &connection; });
    return *found;
  }

  base::SystemClock clock_;
  Loop loop_{clock_};
  Owner owner_;
  Connections connections_{loop_};
  std::unique_ptr<Listener> listener_;
  zmq::context_t context_;
};

}  // namespace canopy::net
