// libzmq sockets on a loop, for Clone clients and the plain Clone server. The rest of Canopy
// implements ZMTP itself (core/zmtp). Not thread-safe: a socket belongs to one loop.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "core/access/keys.h"
#include "core/base/result.h"
#include "core/net/loop.h"

namespace canopy::loadtest {

// libzmq's defaults, where a load test does not need others.
struct ZmqOptions {
  int hwm = 1000;  // messages queued per peer and direction; 0: no limit
  // How long queued messages may still be sent after the socket is closed.
  std::chrono::milliseconds linger{0};
  // With keys, the socket uses CURVE.
  std::optional<access::ClientKeys> keys{};
};

// The frames of one received message. Further frames than max_frames overwrite the last one. Views
// are valid until the next receive into this message.
class ZmqMessage {
 public:
  static constexpr std::size_t max_frames = 16;

  std::size_t size() const { return count_; }
  std::string_view operator[](std::size_t i) const {
    return {static_cast<const char*>(frames_[i].data()), frames_[i].size()};
  }

 private:
  friend class ZmqSocket;
  std::array<zmq::message_t, max_frames> frames_;
  std::size_t count_ = 0;
};

class ZmqSocket {
 public:
  ZmqSocket(zmq::context_t& context, zmq::socket_type type, const ZmqOptions& options);

  // Binds to a free port of 127.0.0.1; returns the endpoint.
  base::Result<std::string> bind();
  base::Status connect(const std::string& endpoint);
  void subscribe(std::string_view prefix);

  // False when no message is queued.
  bool receive(ZmqMessage& message);
  // Copies and sends all frames; false, and sends none, when a queue is full.
  bool send(std::span<const std::string_view> frames);
  bool send(std::initializer_list<std::string_view> frames) {
    return send(std::span(frames.begin(), frames.size()));
  }

 private:
  friend class ZmqWatcher;

  bool attempt(std::string_view frame, bool more);
  bool readable();

  zmq::socket_t socket_;
  bool used_ = true;  // since readable() last returned false
};

// Calls a handler while a socket has messages. libzmq's ZMQ_FD is edge-triggered, and any use of
// the socket may clear it. So the watcher checks ZMQ_EVENTS of all used sockets after each turn.
class ZmqWatcher {
 public:
  explicit ZmqWatcher(net::Loop& loop);

  // The socket must not move until it is removed or the loop has ended.
  void on_readable(ZmqSocket& socket, std::function<void()> handler);
  void remove(ZmqSocket& socket);

 private:
  struct Source {
    ZmqSocket* socket = nullptr;
    std::function<void()> handler{};
    bool removed = false;
  };

  static void serve(Source& source);
  void poll_used();

  net::Loop& loop_;
  std::map<ZmqSocket*, std::unique_ptr<Source>> sources_;
  std::vector<std::unique_ptr<Source>>
      removed_;  // in this turn, while their handlers may still run
};

}  // namespace canopy::loadtest
