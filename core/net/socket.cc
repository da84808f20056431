#include "core/net/socket.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <random>
#include <thread>

#include "core/net/bind_address.h"

namespace canopy::net {
namespace {

zmq::socket_type to_zmq(SocketType type) {
  switch (type) {
    case SocketType::router: return zmq::socket_type::router;
    case SocketType::dealer: return zmq::socket_type::dealer;
    case SocketType::pub: return zmq::socket_type::pub;
    case SocketType::sub: return zmq::socket_type::sub;
    case SocketType::xpub: return zmq::socket_type::xpub;
    case SocketType::xsub: return zmq::socket_type::xsub;
    case SocketType::push: return zmq::socket_type::push;
    case SocketType::pull: return zmq::socket_type::pull;
    case SocketType::pair: return zmq::socket_type::pair;
  }
  return zmq::socket_type::dealer;
}

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

// ZMQ_ZAP_ENFORCE_DOMAIN, which the library knows and its stable header leaves out.
constexpr int zap_enforce_domain = 93;

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

SocketOptions listening(SocketOptions options, const access::KeyPair* cluster) {
  options.marks_large_frames = true;
  if (cluster != nullptr) options.curve_server = cluster->secret_key;
  return options;
}

SocketOptions connecting(SocketOptions options, const access::KeyPair* cluster) {
  if (cluster != nullptr) options.curve_client = {cluster->public_key, *cluster};
  return options;
}

Context::Context(int io_threads, int max_sockets) : context_(io_threads, max_sockets) {}

std::span<const std::string_view> Message::views(std::size_t first) {
  for (std::size_t i = 0; i < count_; ++i) views_[i] = (*this)[i];
  return std::span<const std::string_view>(views_).subspan(0, count_).subspan(
      std::min(first, count_));
}

// Asked of the last frame: the routing id that a ROUTER puts before the others carries no metadata.
std::string Message::peer_address() const {
  if (count_ == 0) return {};
  const char* address =
      zmq_msg_gets(const_cast<zmq_msg_t*>(frames_[count_ - 1].handle()), "Peer-Address");
  return address == nullptr ? std::string() : std::string(address);
}

access::Sender Message::sender(std::size_t frame) const {
  const auto* handle = const_cast<zmq_msg_t*>(frames_[frame].handle());
  const char* name = zmq_msg_gets(handle, "User-Id");
  const char* number = zmq_msg_gets(handle, connection_property);
  if (name == nullptr || number == nullptr) return {};
  return {.name = name, .connection = std::strtoull(number, nullptr, 10)};
}

int Message::source_fd(std::size_t frame) const {
  return zmq_msg_get(frames_[frame].handle(), ZMQ_SRCFD);
}

// The first frame: of a request it is the routing id, and small.
Origin::Origin(const Message& message) {
  if (message.size() > 0) frame_.copy(const_cast<zmq::message_t&>(message.frames_[0]));
}

bool Origin::is_of(const Message& message) const {
  const char* own = record(frame_);
  return own != nullptr && message.size() > 0 && own == record(message.frames_[0]);
}

const char* Origin::record(const zmq::message_t& frame) {
  return zmq_msg_gets(const_cast<zmq_msg_t*>(frame.handle()), "Peer-Address");
}

Socket::Socket(Context& context, SocketType type, const SocketOptions& options)
    : socket_(context.zmq(), to_zmq(type)),
      max_frame_bytes_(options.max_frame_bytes < 0
                           ? std::numeric_limits<std::size_t>::max()
                           : static_cast<std::size_t>(options.max_frame_bytes)),
      single_queue_(type == SocketType::dealer) {
  namespace opt = zmq::sockopt;
  socket_.set(opt::sndhwm, options.send_hwm);
  socket_.set(opt::rcvhwm, options.receive_hwm);
  // Nothing that is sent to a PUB is ever received, and marked.
  socket_.set(opt::maxmsgsize, options.marks_large_frames && type != SocketType::pub
                                   ? static_cast<std::int64_t>(base::max_received_frame_bytes)
                                   : options.max_frame_bytes);
  socket_.set(opt::linger, static_cast<int>(options.linger.count()));
  socket_.set(opt::handshake_ivl, static_cast<int>(options.handshake.count()));
  socket_.set(opt::backlog, options.backlog);
  socket_.set(opt::reconnect_ivl, jittered(options.reconnect));
  socket_.set(opt::tcp_keepalive, 1);
  socket_.set(opt::tcp_keepalive_idle, 30);
  socket_.set(opt::tcp_keepalive_intvl, 10);
  socket_.set(opt::tcp_keepalive_cnt, 3);
  if (options.send_buffer >= 0) socket_.set(opt::sndbuf, options.send_buffer);
  if (options.receive_buffer >= 0) socket_.set(opt::rcvbuf, options.receive_buffer);
  if (options.immediate) socket_.set(opt::immediate, 1);
  if (!options.routing_id.empty()) socket_.set(opt::routing_id, options.routing_id);
  if (options.curve_server) {
    socket_.set(opt::curve_server, 1);
    socket_.set(opt::curve_secretkey, *options.curve_server);
    socket_.set(opt::zap_domain, "canopy");
    // Without a handler nobody is let in.
    constexpr int on = 1;
    if (zmq_setsockopt(socket_.handle(), zap_enforce_domain, &on, sizeof on) != 0) {
      throw zmq::error_t();
    }
  }
  if (options.curve_client) {
    socket_.set(opt::curve_serverkey, options.curve_client->server_key);
    socket_.set(opt::curve_publickey, options.curve_client->own.public_key);
    socket_.set(opt::curve_secretkey, options.curve_client->own.secret_key);
  }
  if (type == SocketType::router) {
    socket_.set(opt::router_mandatory, options.router_mandatory ? 1 : 0);
    socket_.set(opt::router_handover, options.router_handover ? 1 : 0);
  }
  if (type == SocketType::xpub) {
    socket_.set(opt::xpub_verboser, options.xpub_verbose ? 1 : 0);
    socket_.set(opt::xpub_manual, options.xpub_manual ? 1 : 0);
    socket_.set(opt::xpub_nodrop, options.xpub_nodrop ? 1 : 0);
  }
}

base::Status Socket::bind(const std::string& endpoint, std::chrono::milliseconds patience) {
  used_ = true;
  const auto cannot = [&](const std::string& why) {
    return base::Error{"cannot bind " + endpoint + ": " + why};
  };
  const auto wanted = listening_endpoint(endpoint);
  if (!wanted) return cannot(wanted.error());
  socket_.set(zmq::sockopt::ipv6, is_ipv6(*wanted) ? 1 : 0);
  const auto give_up = std::chrono::steady_clock::now() + patience;
  for (;;) {
    std::string why = "Address already in use";
    switch (look_at(*wanted)) {
      case IpcPath::no_socket: return cannot("there is a file of this name");
      case IpcPath::in_use: break;
      case IpcPath::free:
        try {
          socket_.bind(*wanted);
          return {};
        } catch (const zmq::error_t& error) {
          if (error.num() != EADDRINUSE) return cannot(error.what());
          why = error.what();
        }
    }
    if (std::chrono::steady_clock::now() >= give_up) return cannot(why);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

base::Status Socket::unbind(const std::string& endpoint) {
  used_ = true;
  try {
    socket_.unbind(endpoint);
    return {};
  } catch (const zmq::error_t& error) {
    return base::Error{"cannot unbind " + endpoint + ": " + error.what()};
  }
}

base::Status Socket::connect(const std::string& endpoint) {
  used_ = true;
  try {
    socket_.set(zmq::sockopt::ipv6, is_ipv6(endpoint) ? 1 : 0);
    socket_.connect(endpoint);
    return {};
  } catch (const zmq::error_t& error) {
    return base::Error{"cannot connect to " + endpoint + ": " + error.what()};
  }
}

void Socket::disconnect(const std::string& endpoint) {
  used_ = true;
  try {
    socket_.disconnect(endpoint);
  } catch (const zmq::error_t&) {
    // Never connected: nothing to take down.
  }
}

std::string Socket::last_endpoint() const { return socket_.get(zmq::sockopt::last_endpoint); }

void Socket::subscribe(std::string_view prefix) {
  used_ = true;
  socket_.set(zmq::sockopt::subscribe, zmq::const_buffer(prefix.data(), prefix.size()));
}

void Socket::unsubscribe(std::string_view prefix) {
  used_ = true;
  socket_.set(zmq::sockopt::unsubscribe, zmq::const_buffer(prefix.data(), prefix.size()));
}

void Socket::set_xpub_nodrop(bool on) {
  used_ = true;
  socket_.set(zmq::sockopt::xpub_nodrop, on ? 1 : 0);
}

bool Socket::receive(Message& message) {
  used_ = true;
  message.count_ = 0;
  message.too_large_ = false;
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
    message.too_large_ |= frame.size() > max_frame_bytes_;
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
      if (error.num() == EHOSTUNREACH) return SendResult::no_route;
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

}  // namespace canopy::net
