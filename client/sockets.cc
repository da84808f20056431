#include "client/sockets.h"

namespace canopy::client {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration tick_period = 50ms;
constexpr int read_budget = 1024;  // frames at one go, before the other socket gets its turn

net::SocketOptions options_of(net::SocketType type) {
  net::SocketOptions options;
  options.max_frame_bytes = base::max_link_frame_bytes;
  // A SUB loses subscriptions at any limit; a DEALER holds all that waits for an answer.
  options.send_hwm = type == net::SocketType::sub ? 0 : 16'384;
  return options;
}

}  // namespace

void Sockets::start() {
  loop_.every(tick_period, [this] { session_.tick(loop_.now()); });
  session_.start(loop_.now());
}

void Sockets::open(SocketPtr& socket, net::SocketType type, const std::string& endpoint,
                   Receiver receiver) {
  try {
    net::SocketOptions options = options_of(type);
    options.curve_client = keys_;
    socket = std::make_unique<net::Socket>(context_, type, options);
  } catch (const std::exception&) {
    return;  // out of descriptors: silent, too
  }
  loop_.on_readable(*socket, [this, &socket, receiver] { read(socket, receiver); });
  // An endpoint that cannot be is as silent as one where nobody is.
  if (const auto connected = socket->connect(endpoint); !connected) close(socket);
}

void Sockets::close(SocketPtr& socket) {
  if (!socket) return;
  loop_.remove(*socket);
  closing_.push_back(std::move(socket));
}

// What arrives may make the session close this very socket.
void Sockets::read(const SocketPtr& socket, Receiver receiver) {
  const net::Socket* const mine = socket.get();
  for (int i = 0; i < read_budget && mine != nullptr && socket.get() == mine; ++i) {
    if (!socket->receive(message_)) return;
    if (message_.size() == 1) (session_.*receiver)(message_[0], loop_.now());
  }
}

void Sockets::connect(const Target& target) {
  open(requests_, net::SocketType::dealer, target.requests, &Session::on_answer);
  open(streams_, net::SocketType::sub, target.streams, &Session::on_stream);
}

void Sockets::disconnect() {
  close(requests_);
  close(streams_);
}

void Sockets::subscribe(std::string_view topic) {
  if (streams_) streams_->subscribe(topic);
}

void Sockets::unsubscribe(std::string_view topic) {
  if (streams_) streams_->unsubscribe(topic);
}

void Sockets::send(std::string frame) {
  if (requests_) requests_->send_frame(std::move(frame), false);
}

void Sockets::ask_broker(const std::string& endpoint, std::string frame) {
  close(broker_);
  open(broker_, net::SocketType::dealer, endpoint, &Session::on_broker);
  if (broker_) broker_->send_frame(std::move(frame), false);
}

void Sockets::leave_broker() { close(broker_); }

}  // namespace canopy::client
