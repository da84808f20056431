// libzmq's sockets, as Clone clients and the plain Clone server have them, on a loop. The only user
// of libzmq: everything else of Canopy speaks ZMTP itself (core/net). Not thread-safe: a socket
// belongs to the loop that uses it.
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

// libzmq's own defaults, but for those that a load test needs otherwise.
struct ZmqOptions {
  int hwm = 1000;  // messages queued per peer, each way; 0: no limit
  // What the end of the socket may wait to send.
  std::chrono::milliseconds linger{0};
  // CURVE; nothing is sent or taken in the clear then.
  std::optional<access::ClientKeys> keys{};
};

// The frames of one received message. Of more than max_frames only the last is kept, in the last
// place. Views are valid until the next receive into this message.
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

  // To a free port of the loopback, whose endpoint it returns.
  base::Result<std::string> bind();
  base::Status connect(const std::string& endpoint);
  void subscribe(std::string_view prefix);

  // False when nothing is waiting.
  bool receive(ZmqMessage& message);
  // All frames, copied, or none: false when a queue is full.
  bool send(std::span<const std::string_view> frames);
  bool send(std::initializer_list<std::string_view> frames) {
    return send(std::span(frames.begin(), frames.size()));
  }

 private:
  friend class ZmqWatcher;

  bool attempt(std::string_view frame, bool more);
  bool readable();

  zmq::socket_t socket_;
  bool used_ = true;  // since readable() last said no
};

// Tells when sockets have something to read. The descriptor that libzmq gives for that becomes
// readable when a message may have come, and any use of the socket may take the sign away: so
// sockets that were used are asked at the end of each turn.
class ZmqWatcher {
 public:
  explicit ZmqWatcher(net::Loop& loop);

  // The socket stays where it is until it is removed or the loop has run for the last time.
  void on_readable(ZmqSocket& socket, std::function<void()> handler);
  void remove(ZmqSocket& socket);

 private:
  struct Source {
    ZmqSocket* socket = nullptr;
    std::function<void()> handler{};
    bool removed = false;
  };

  static void serve(Source& source);
  void ask_used();

  net::Loop& loop_;
  std::map<ZmqSocket*, std::unique_ptr<Source>> sources_;
  std::vector<std::unique_ptr<Source>> removed_;  // in this turn: handlers may be running
};

}  // namespace canopy::loadtest
