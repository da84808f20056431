// libzmq sockets with every option set on purpose. With loop.h and monitor.h the only users of
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
#include "core/access/sender.h"
#include "core/base/limits.h"
#include "core/base/result.h"

namespace canopy::net {

// One per process; outlives every socket.
class Context {
 public:
  explicit Context(int io_threads = 1, int max_sockets = 4096);
  zmq::context_t& zmq() { return context_; }

  // How many connections the ZapHandler has let in so far; each bears its number in this count.
  std::uint64_t let_in() const { return let_in_; }
  // A number for a connection; none is given twice. Not thread-safe: of the process's loop.
  std::uint64_t next_connection() { return ++connections_; }

 private:
  friend class ZapHandler;
  zmq::context_t context_;
  std::uint64_t let_in_ = 0;
  std::uint64_t connections_ = 0;
};

// The property of a connection's messages that holds its number; no peer can set it himself.
inline constexpr const char* connection_property = "Connection-Number";

// A new pair of CURVE keys.
access::KeyPair make_key_pair();
// Whether the keys belong together.
bool is_pair(const access::KeyPair& keys);

// The connecting side of CURVE: who is to be met, and as whom.
struct CurveClient {
  std::string server_key = {};  // public
  access::KeyPair own = {};
};

enum class SocketType { router, dealer, pub, sub, xpub, xsub, push, pull, pair };

struct SocketOptions {
  // Messages queued per peer before a send would block (or a PUB drops). 0 = no limit: only for
  // SUB and XSUB senders, which lose subscriptions at any other value.
  int send_hwm = 1000;
  int receive_hwm = 1000;
  // The largest frame that a peer may send. A connecting socket closes the connection at a larger
  // one; a listening one delivers it, marked (Message::too_large()), up to
  // base::max_received_frame_bytes.
  std::int64_t max_frame_bytes = base::max_client_frame_bytes;
  bool marks_large_frames = false;
  // What close() may wait to send; 0 discards.
  std::chrono::milliseconds linger{0};
  // Peers that stay silent after connecting hold a descriptor this long.
  std::chrono::milliseconds handshake{3000};
  // Kernel buffers in bytes; -1 leaves the kernel's default.
  int send_buffer = -1;
  int receive_buffer = -1;
  int backlog = 1024;
  // Reconnects are drawn from [reconnect, 2 × reconnect) once per socket, so that clients of a
  // restarted process do not return as a herd. Negative: a connection that ends is not replaced.
  std::chrono::milliseconds reconnect{100};
  std::string routing_id{};       // dealer: names the peer to a router; empty = chosen by it
  bool router_mandatory = false;  // router: a send to an unknown or full peer fails, not drops
  bool router_handover = false;   // router: a peer that returns under its old name replaces it
  bool xpub_verbose = false;      // xpub: pass on every subscription and its end, repeated or not
  bool xpub_nodrop = false;       // xpub: a send fails when any matching subscriber is full
  bool xpub_manual = false;  // xpub: a subscription counts once accept_subscription() is called
  bool immediate = false;    // queue only to completed connections
  // CURVE, for all connections of the socket; nothing is sent or taken in the clear then. At the
  // listening side (the secret key) the context's ZapHandler decides who is let in.
  std::optional<std::string> curve_server{};
  std::optional<CurveClient> curve_client{};
};

// `options` secured with the key pair that all processes of a cluster share; as they are without.
// Of a socket that is bound, and of one that connects to such a socket of another process.
SocketOptions listening(SocketOptions options, const access::KeyPair* cluster);
SocketOptions connecting(SocketOptions options, const access::KeyPair* cluster);

enum class SendResult {
  sent,
  would_block,  // the peer's queue is full
  no_route,     // router: no such peer
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
  // The frames from `first` on, as views.
  std::span<const std::string_view> views(std::size_t first = 0);
  // The peer's IP address as the connection saw it; empty over ipc://.
  std::string peer_address() const;
  // The name and the number that the ZapHandler has given its sender. Only to be asked of a socket
  // with curve_server: without, a peer may call itself what it likes. Valid as the frames.
  access::Sender sender() const { return count_ == 0 ? access::Sender() : sender(count_ - 1); }
  // Whether a frame is larger than the socket's max_frame_bytes.
  bool too_large() const { return too_large_; }
  // The descriptor of the connection it came over, which may be gone by now; -1 when unknown.
  int source_fd() const { return count_ == 0 ? -1 : source_fd(count_ - 1); }
  // Both of one frame: what an XPUB is sent beside subscriptions can run into those of others.
  access::Sender sender(std::size_t frame) const;
  int source_fd(std::size_t frame) const;

 private:
  friend class Socket;
  friend class Origin;
  std::array<zmq::message_t, max_frames> frames_;
  std::array<std::string_view, max_frames> views_;
  std::size_t count_ = 0;
  bool too_large_ = false;
};

// Recognises messages of the connection that one message came over, also when its descriptor is
// another connection's by now. libzmq attaches one record of properties to all messages of a
// connection; this keeps the record, so that its address is not used again.
class Origin {
 public:
  Origin() = default;
  explicit Origin(const Message& message);
  bool is_of(const Message& message) const;

 private:
  static const char* record(const zmq::message_t& frame);
  zmq::message_t frame_{};
};

class Socket {
 public:
  Socket(Context& context, SocketType type, const SocketOptions& options);

  // Binds; while the address is still held by a process that is going away, tries again until
  // `patience` is over. The endpoint may end in `:*` for any free port. Its host may be a name or
  // an interface of this machine. An ipc path is taken only when no process answers there.
  base::Status bind(const std::string& endpoint, std::chrono::milliseconds patience = {});
  base::Status unbind(const std::string& endpoint);
  base::Status connect(const std::string& endpoint);
  void disconnect(const std::string& endpoint);
  // The endpoint that the last bind resolved to.
  std::string last_endpoint() const;

  void subscribe(std::string_view prefix);
  void unsubscribe(std::string_view prefix);
  void set_xpub_nodrop(bool on);
  // xpub_manual: what the peer of the last received message is sent from now on, or no more. Only
  // while its connection stands (Monitor::carries), for libzmq 4.3.4 would write to one that is
  // gone.
  void accept_subscription(std::string_view topic) { subscribe(topic); }
  void end_subscription(std::string_view topic) { unsubscribe(topic); }

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
  // Whether the socket was used since readable() last said no.
  bool used() const { return used_; }
  // dealer: whether readable() has just found room after a send that would have blocked.
  bool take_unblocked() { return std::exchange(unblocked_, false); }

  zmq::socket_ref ref() { return socket_; }

 private:
  SendResult attempt(zmq::message_t& message, bool more);

  zmq::socket_t socket_;
  std::size_t max_frame_bytes_;
  bool used_ = true;
  // Only of sockets with a single queue: whether others "can send" does not say to whom.
  bool single_queue_;
  bool blocked_ = false;
  bool unblocked_ = false;
};

}  // namespace canopy::net
