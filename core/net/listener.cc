#include <sys/socket.h>

#include <cerrno>

#include "core/net/closings.h"
#include "core/net/connections.h"

namespace canopy::net {
namespace {

constexpr int accepts_per_turn = 64;
// After an accept that failed for want of descriptors or memory.
constexpr base::Duration starved_pause = std::chrono::milliseconds(100);

}  // namespace

Listener::Listener(Connections& connections, ListenerSettings settings, ConnectionEvents& events)
    : connections_(connections),
      settings_(std::move(settings)),
      events_(events),
      limit_(settings_.limit != nullptr ? *settings_.limit : unlimited_) {
  limit_.listeners_.push_back(this);
}

Listener::~Listener() {
  std::erase(limit_.listeners_, this);
  limit_.change(limit_.open_ - accepted_.size(), limit_.limit_);
  if (accepting_) connections_.loop().unwatch(socket_.get());
  connections_.loop().cancel(handshake_timer_);
  connections_.loop().cancel(starved_timer_);
}

base::Status Listener::open(std::chrono::milliseconds patience) {
  auto socket = listen_at(settings_.address, settings_.backlog, patience);
  if (!socket) return base::Error{socket.error()};
  socket_ = std::move(*socket);
  endpoint_ = endpoint_of(socket_);
  update_interest();
  return {};
}

void AcceptLimit::set_limit(std::size_t connections) { change(open_, connections); }

// Listeners begin and end polling only where the limit is reached or left.
void AcceptLimit::change(std::size_t open, std::size_t limit) {
  const bool was_full = full();
  open_ = open;
  limit_ = limit;
  if (full() == was_full) return;
  for (Listener* listener : listeners_) listener->update_interest();
}

// At the limit the listening socket is not watched: peers wait in the kernel's queue, and nothing
// spins.
void Listener::update_interest() {
  const bool wanted = socket_ && !starved_ && !limit_.full();
  if (wanted == accepting_) return;
  accepting_ = wanted;
  if (wanted) {
    connections_.loop().watch(socket_.get(), *this, {.readable = true});
  } else {
    connections_.loop().unwatch(socket_.get());
  }
}

void Listener::on_events(bool, bool) { accept_some(); }

void Listener::accept_some() {
  for (int i = 0; i < accepts_per_turn && !limit_.full(); ++i) {
    Descriptor accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        starved_ = true;
        starved_timer_ = connections_.loop().after(starved_pause, [this] {
          starved_ = false;
          update_interest();
        });
      }
      break;
    }
    if (!settings_.address.ipc()) set_tcp_options(accepted);
    if (settings_.send_buffer_bytes > 0) {
      setsockopt(accepted.get(), SOL_SOCKET, SO_SNDBUF, &settings_.send_buffer_bytes,
                 sizeof settings_.send_buffer_bytes);
    }
    auto made = std::make_unique<ZmtpConnection>(connections_, settings_.connection,
                                                 static_cast<ConnectionOwner&>(*this), events_,
                                                 std::move(accepted));
    const std::uint64_t id = made->id();
    accepted_.emplace(id, std::move(made));
    limit_.change(limit_.open_ + 1, limit_.limit_);
    handshakes_.emplace_back(connections_.loop().now() + settings_.handshake, id);
    if (handshakes_.size() == 1) expire_handshakes();
  }
  update_interest();
}

// One timer, for the handshake that must end first.
void Listener::expire_handshakes() {
  const base::TimePoint now = connections_.loop().now();
  for (; !handshakes_.empty(); handshakes_.pop_front()) {
    const auto& [deadline, id] = handshakes_.front();
    ZmtpConnection* connection = find(id);
    if (connection == nullptr || connection->ready()) continue;
    if (deadline > now) {
      handshake_timer_ = connections_.loop().after(deadline - now, [this] { expire_handshakes(); });
      return;
    }
    connection->close("handshake_timeout");
  }
}

ZmtpConnection* Listener::find(std::uint64_t id) const {
  const auto found = accepted_.find(id);
  return found == accepted_.end() ? nullptr : found->second.get();
}

void Listener::for_each(const std::function<void(Connection&)>& visit) const {
  for (const auto& [id, connection] : accepted_) visit(*connection);
}

void Listener::on_ready(ZmtpConnection& connection) {
  if (settings_.connection.peer.type == zmtp::SocketType::sub) connection.subscribe({}, true);
  events_.on_ready(connection);
}

void Listener::on_closed(ZmtpConnection& connection, const std::string& reason) {
  if (settings_.closings != nullptr) settings_.closings->add(settings_.name, connection, reason);
  events_.on_closed(connection, reason);
  accepted_.erase(connection.id());
  limit_.change(limit_.open_ - 1, limit_.limit_);
}

}  // namespace canopy::net
