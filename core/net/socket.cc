#include "core/net/socket.h"

#include <algorithm>
#include <cstdlib>
#include <random>

namespace canopy::net {
namespace {

int jittered(std::chrono::milliseconds base) {
  if (base.count() < 0) return -1;
  static thread_local std::minstd_rand random{std::random_device{}()};
  const int least = static_cast<int>(base.count());
  return std::uniform_int_distribution<int>(least, 2 * least)(random);
}

// libzmq throws for configuration errors that are bugs here, and for EINTR, which is not.
zmq::send_flags flags_for(bool more) {
  return more ? zmq::send_flags::dontwait | zmq::send_flags::sndmore : zmq::send_flags::dontwait;
}

// Below this a copy is cheaper than a heap-held owner.
constexpr std::size_t zero_copy_bytes = 4096;

}  // namespace

access::KeyPair make_key_pair() {
  std::array<char, access::key_characters + 1> public_key{};
  std::array<char, access::key_characters + 1> secret_key{};
  if (zmq_curve_keypair(public_key.data(), secret_key.data()) != 0) throw zmq::error_t();
  return {.public_key = public_key.data(), .secret_key = secret_key.data()};
}

bool is_pair(const access::KeyPair& keys) {
  std::array<char, access::key_characters + 1> public_key{};
  return zmq_curve_public(public_key.data(), keys.secret_key.c_str()) == 0 &&
         keys.public_key == public_key.data();
}

Context::Context(int io_threads, int max_sockets) : context_(io_threads, max_sockets) {}

Socket::Socket(Context& context, SocketType type, const SocketOptions& options)
    : socket_(context.zmq(), type), single_queue_(type == SocketType::dealer) {
  namespace opt = zmq::sockopt;
  socket_.set(opt::sndhwm, options.send_hwm);
  socket_.set(opt::rcvhwm, options.receive_hwm);
  socket_.set(opt::maxmsgsize, options.max_frame_bytes);
  socket_.set(opt::linger, static_cast<int>(options.linger.count()));
  socket_.set(opt::handshake_ivl, static_cast<int>(options.handshake.count()));
  socket_.set(opt::reconnect_ivl, jittered(options.reconnect));
  socket_.set(opt::tcp_keepalive, 1);
  socket_.set(opt::tcp_keepalive_idle, 30);
  socket_.set(opt::tcp_keepalive_intvl, 10);
  socket_.set(opt::tcp_keepalive_cnt, 3);
  if (!options.routing_id.empty()) socket_.set(opt::routing_id, options.routing_id);
  if (options.curve_client) {
    socket_.set(opt::curve_serverkey, options.curve_client->server_key);
    socket_.set(opt::curve_publickey, options.curve_client->own.public_key);
    socket_.set(opt::curve_secretkey, options.curve_client->own.secret_key);
  }
}

base::Status Socket::bind(const std::string& endpoint) {
  used_ = true;
  try {
    socket_.bind(endpoint);
    return {};
  } catch (const zmq::error_t& error) {
    return base::Error{"cannot bind " + endpoint + ": " + error.what()};
  }
}

base::Status Socket::connect(const std::string& endpoint) {
  used_ = true;
  try {
    socket_.set(zmq::sockopt::ipv6, endpoint.find('[') == std::string::npos ? 0 : 1);
    socket_.connect(endpoint);
    return {};
  } catch (const zmq::error_t& error) {
    return base::Error{"cannot connect to " + endpoint + ": " + error.what()};
  }
}

std::string Socket::last_endpoint() const { return socket_.get(zmq::sockopt::last_endpoint); }

void Socket::subscribe(std::string_view prefix) {
  used_ = true;
  socket_.set(zmq::sockopt::subscribe, zmq::const_buffer(prefix.data(), prefix.size()));
}

bool Socket::receive(Message& message) {
  used_ = true;
  message.count_ = 0;
  for (std::size_t i = 0;; ++i) {
    zmq::message_t& frame = message.frames_[std::min(i, Message::max_frames - 1)];
    for (;;) {
      try {
        if (!socket_.recv(frame, zmq::recv_flags::dontwait)) return false;
        break;
      } catch (const zmq::error_t& error) {
        if (error.num() != EINTR) throw;
      }
    }
    message.count_ = std::min(i + 1, Message::max_frames);
    if (!frame.more()) return true;
  }
}

SendResult Socket::send(std::span<const std::string_view> frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const SendResult result = send_frame(frames[i], i + 1 < frames.size());
    if (result != SendResult::sent) {
      assert(i == 0);
      return result;
    }
  }
  return SendResult::sent;
}

SendResult Socket::attempt(zmq::message_t& message, bool more) {
  used_ = true;
  for (;;) {
    try {
      if (socket_.send(message, flags_for(more))) return SendResult::sent;
      blocked_ = single_queue_;
      return SendResult::would_block;
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
  }
}

SendResult Socket::send_frame(std::string_view frame, bool more) {
  zmq::message_t message(frame.data(), frame.size());
  return attempt(message, more);
}

SendResult Socket::send_frame(std::string&& frame, bool more) {
  if (frame.size() < zero_copy_bytes) return send_frame(std::string_view(frame), more);
  auto* owner = new std::string(std::move(frame));
  zmq::message_t message(
      owner->data(), owner->size(),
      [](void*, void* hint) { delete static_cast<std::string*>(hint); }, owner);
  return attempt(message, more);
}

int Socket::fd() const { return socket_.get(zmq::sockopt::fd); }

bool Socket::readable() {
  const int events = socket_.get(zmq::sockopt::events);
  used_ = (events & ZMQ_POLLIN) != 0;
  if (blocked_ && (events & ZMQ_POLLOUT) != 0) {
    blocked_ = false;
    unblocked_ = true;
  }
  return used_;
}

bool Socket::connected() {
  used_ = true;
  return (socket_.get(zmq::sockopt::events) & ZMQ_POLLOUT) != 0;
}

}  // namespace canopy::net
