// libzmq sockets with every option set on purpose, for clients: they connect with libzmq, as their
// users do. The cluster's own processes connect with connector.h. With loop.h the only users of
// libzmq. Not thread-safe: a socket belongs to the loop that uses it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <zmq.hpp>

#include "core/access/keys.h"
#include "core/base/limits.h"
#include "core/base/result.h"

namespace canopy::net {

// One per process; outlives every socket.
class Context {
 public:
  explicit Context(int io_threads = 1, int max_sockets = 4096);
  zmq::context_t& zmq() { return context_; }

 private:
  zmq::context_t context_;
};

// A new pair of CURVE keys.
access::KeyPair make_key_pair();
// Whether the keys belong together.
bool is_pair(const access::KeyPair& keys);

// The connecting side of CURVE: who is to be met, and as whom.
struct CurveClient {
  std::string server_key = {};  // public
  access::KeyPair own = {};
};

using SocketType = zmq::socket_type;

struct SocketOptions {
  // Messages queued per peer before a send would block (or a PUB drops). 0 = no limit: only for
  // SUB and XSUB senders, which lose subscriptions at any other value.
  int send_hwm = 1000;
  int receive_hwm = 1000;
  // The connection of a peer that sends a larger frame is closed.
  std::int64_t max_frame_bytes = base::max_client_frame_bytes;
  // What close() may wait to send; 0 discards.
  std::chrono::milliseconds linger{0};
  // Peers that stay silent after connecting hold a descriptor this long.
  std::chrono::milliseconds handshake{3000};
  // Reconnects are drawn from [reconnect, 2 × reconnect) once per socket, so that clients of a
  // restarted process do not return as a herd. Negative: a connection that ends is not replaced.
  std::chrono::milliseconds reconnect{100};
  std::string routing_id{};  // dealer: names the peer to a router; empty = chosen by it
  // CURVE; nothing is sent or taken in the clear then.
  std::optional<CurveClient> curve_client{};
};

enum class SendResult {
  sent,
  would_block,  // the peer's queue is full
};

// The frames of one received message. Of more than max_frames only the last is kept, in the last
// place. Views are valid until the next receive into this Message.
class Message {
 public:
  static constexpr std::size_t max_frames = 16;

  std::size_t size() const { return count_; }
  std::string_view operator[](std::size_t i) const {
    return {static_cast<const char*>(frames_[i].data()), frames_[i].size()};
  }

 private:
  friend class Socket;
  std::array<zmq::message_t, max_frames> frames_;
  std::size_t count_ = 0;
};

// A socket of libzmq.
class Socket {
 public:
  Socket(Context& context, SocketType type, const SocketOptions& options);

  // For the plain Clone server of the load test, and for tests.
  base::Status bind(const std::string& endpoint);
  base::Status connect(const std::string& endpoint);
  // The endpoint that the last bind resolved to.
  std::string last_endpoint() const;

  void subscribe(std::string_view prefix);

  // False when nothing is waiting.
  bool receive(Message& message);

  // All frames or none. Frames are copied.
  SendResult send(std::span<const std::string_view> frames);
  SendResult send(std::initializer_list<std::string_view> frames) {
    return send(std::span(frames.begin(), frames.size()));
  }
  // One frame of a message whose other frames are sent by further calls; `more` says that some
  // follow. Once a first frame is sent, the rest cannot block.
  SendResult send_frame(std::string_view frame, bool more);
  // One frame, moved, not copied, when it is large.
  SendResult send_frame(std::string&& frame, bool more);

  // A descriptor that becomes readable when readable() may have become true. Any other use of the
  // socket may take that sign away: whoever waits for the descriptor asks used() before.
  int fd() const;
  // Whether a message waits.
  bool readable();
  // dealer without a send_hwm: whether it has a connection, or one on its way. One that has ended
  // is gone from it when it is not replaced (SocketOptions::reconnect).
  bool connected();
  // Whether the socket was used since readable() last said no.
  bool used() const { return used_; }
  // dealer: whether readable() has just found room after a send that would have blocked.
  bool take_unblocked() { return std::exchange(unblocked_, false); }

 private:
  SendResult attempt(zmq::message_t& message, bool more);

  zmq::socket_t socket_;
  bool used_ = true;
  // Only of sockets with a single queue: whether others "can send" does not say to whom.
  bool single_queue_;
  bool blocked_ = false;
  bool unblocked_ = false;
};

}  // namespace canopy::net
