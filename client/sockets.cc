#include "client/sockets.h"

namespace canopy::client {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration tick_period = 50ms;
// Between two looks at whether the connection to the proxy still stands.
constexpr base::Duration check_period = 250ms;
constexpr int read_budget = 1024;  // frames at one go, before others get their turn

}  // namespace

Sockets::Sockets(net::Context& context, net::Loop& loop, Session& session,
                 const std::optional<net::CurveClient>& keys, int receive_hwm)
    : context_(context), loop_(loop), session_(session) {
  options_.max_frame_bytes = base::max_link_frame_bytes;
  options_.send_hwm = 0;  // a session bounds what waits for an answer
  options_.receive_hwm = receive_hwm;
  // A proxy would not know who is back, nor what it watched.
  options_.reconnect = -1ms;
  options_.curve_client = keys;
}

Sockets::~Sockets() {
  close(proxy_);
  close(broker_);
}

void Sockets::start() {
  loop_.every(tick_period, [this] { session_.tick(loop_.now()); });
  loop_.every(check_period, [this] {
    if (proxy_ && !proxy_->connected()) session_.on_disconnected(loop_.now());
  });
  session_.start(loop_.now());
}

void Sockets::open(SocketPtr& socket, const std::string& endpoint, Receiver receiver) {
  try {
    socket = std::make_unique<net::Socket>(context_, net::SocketType::dealer, options_);
  } catch (const std::exception&) {
    return;  // out of descriptors: silent, too
  }
  loop_.on_readable(*socket, [this, &socket, receiver] { read(socket, receiver); });
  // An invalid endpoint is as silent as one where no process listens.
  if (const auto connected = socket->connect(endpoint); !connected) close(socket);
}

void Sockets::close(SocketPtr& socket) {
  if (!socket) return;
  loop_.remove(*socket);
  socket.reset();
}

// What arrives may make the session close this very socket, and open another in its place.
void Sockets::read(const SocketPtr& socket, Receiver receiver) {
  for (int i = 0; i < read_budget && socket && socket->receive(message_); ++i) {
    if (message_.size() == 1) (session_.*receiver)(message_[0], loop_.now());
  }
}

void Sockets::connect(const Target& target) { open(proxy_, target.endpoint, &Session::on_message); }

void Sockets::send(std::string frame) {
  if (proxy_) proxy_->send_frame(std::move(frame), false);
}

void Sockets::ask_broker(const std::string& endpoint, std::string frame) {
  close(broker_);
  open(broker_, endpoint, &Session::on_broker);
  if (broker_) broker_->send_frame(std::move(frame), false);
}

}  // namespace canopy::client
