#include "loadtest/zmq_socket.h"

#include <algorithm>
#include <cassert>
#include <random>
#include <utility>

namespace canopy::loadtest {
namespace {

constexpr std::chrono::seconds handshake{30};
// Random in [min, 2 × min) for each socket, so that the clients of a restarted process do not
// reconnect all at once.
constexpr int min_reconnect_ms = 100;

int random_reconnect_ms() {
  static thread_local std::minstd_rand random{std::random_device{}()};
  return std::uniform_int_distribution<int>(min_reconnect_ms, 2 * min_reconnect_ms)(random);
}

// libzmq throws for EINTR, which is no error, and for wrong settings, which are bugs here.
template <typename Call>
auto uninterrupted(Call call) {
  for (;;) {
    try {
      return call();
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
  }
}

}  // namespace

ZmqSocket::ZmqSocket(zmq::context_t& context, zmq::socket_type type, const ZmqOptions& options)
    : socket_(context, type) {
  namespace opt = zmq::sockopt;
  socket_.set(opt::sndhwm, options.hwm);
  socket_.set(opt::rcvhwm, options.hwm);
  socket_.set(opt::linger, static_cast<int>(options.linger.count()));
  socket_.set(opt::handshake_ivl, static_cast<int>(std::chrono::milliseconds(handshake).count()));
  socket_.set(opt::reconnect_ivl, random_reconnect_ms());
  if (options.keys) {
    socket_.set(opt::curve_serverkey, options.keys->server_key);
    socket_.set(opt::curve_publickey, options.keys->own.public_key);
    socket_.set(opt::curve_secretkey, options.keys->own.secret_key);
  }
}

base::Result<std::string> ZmqSocket::bind() {
  try {
    socket_.bind("tcp://127.0.0.1:*");
    return socket_.get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& error) {
    return base::Error{std::string("cannot bind: ") + error.what()};
  }
}

base::Status ZmqSocket::connect(const std::string& endpoint) {
  used_ = true;
  try {
    socket_.set(zmq::sockopt::ipv6, endpoint.find('[') == std::string::npos ? 0 : 1);
    socket_.connect(endpoint);
    return {};
  } catch (const zmq::error_t& error) {
    return base::Error{"cannot connect to " + endpoint + ": " + error.what()};
  }
}

void ZmqSocket::subscribe(std::string_view prefix) {
  used_ = true;
  socket_.set(zmq::sockopt::subscribe, zmq::const_buffer(prefix.data(), prefix.size()));
}

bool ZmqSocket::receive(ZmqMessage& message) {
  used_ = true;
  message.count_ = 0;
  for (std::size_t i = 0;; ++i) {
    zmq::message_t& frame = message.frames_[std::min(i, ZmqMessage::max_frames - 1)];
    if (!uninterrupted([&] { return socket_.recv(frame, zmq::recv_flags::dontwait); })) {
      return false;
    }
    message.count_ = std::min(i + 1, ZmqMessage::max_frames);
    if (!frame.more()) return true;
  }
}

bool ZmqSocket::send(std::span<const std::string_view> frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (attempt(frames[i], i + 1 < frames.size())) continue;
    assert(i == 0);  // after the first frame, the others cannot block
    return false;
  }
  return true;
}

bool ZmqSocket::attempt(std::string_view frame, bool more) {
  used_ = true;
  const auto flags =
      more ? zmq::send_flags::dontwait | zmq::send_flags::sndmore : zmq::send_flags::dontwait;
  zmq::message_t message(frame.data(), frame.size());
  return uninterrupted([&] { return socket_.send(message, flags); }).has_value();
}

bool ZmqSocket::readable() {
  used_ = (socket_.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0;
  return used_;
}

// --- ZmqWatcher -------------------------------------------------------------------------------

ZmqWatcher::ZmqWatcher(net::Loop& loop) : loop_(loop) {
  loop_.on_flush([this] {
    removed_.clear();
    poll_used();
  });
}

void ZmqWatcher::on_readable(ZmqSocket& socket, std::function<void()> handler) {
  auto& source = sources_[&socket];
  assert(!source);
  source = std::make_unique<Source>(Source{.socket = &socket, .handler = std::move(handler)});
  loop_.on_readable(socket.socket_.get(zmq::sockopt::fd), [&each = *source] { serve(each); });
}

void ZmqWatcher::remove(ZmqSocket& socket) {
  auto found = sources_.extract(&socket);
  if (!found) return;
  loop_.remove(socket.socket_.get(zmq::sockopt::fd));
  found.mapped()->removed = true;
  removed_.push_back(std::move(found.mapped()));
}

void ZmqWatcher::serve(Source& source) {
  if (!source.removed && source.socket->readable()) source.handler();
}

void ZmqWatcher::poll_used() {
  const bool any = std::ranges::any_of(
      sources_, [](const auto& each) { return each.first->used_ && each.first->readable(); });
  if (!any) return;
  loop_.post([this] {
    std::vector<Source*> readable;
    for (const auto& [socket, source] : sources_) {
      if (socket->used_) readable.push_back(source.get());
    }
    for (Source* source : readable) serve(*source);
  });
}

}  // namespace canopy::loadtest
