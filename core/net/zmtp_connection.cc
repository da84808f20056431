#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/net/connections.h"
#include "core/net/proxy_protocol.h"

namespace canopy::net {
namespace {

constexpr std::size_t vectors_per_write = 64;
// With so much waiting for a peer its PINGs are not answered: what waits is sign of life enough,
// and a peer that reads nothing costs no more.
constexpr std::size_t most_queued_for_pong = std::size_t{64} << 10;

bool is_cut(int fd) {
  pollfd asked{.fd = fd, .events = 0, .revents = 0};
  return poll(&asked, 1, 0) > 0 && (asked.revents & (POLLERR | POLLHUP)) != 0;
}

// A peer that ends with something unread resets its connection.
std::string_view reason_of(int error) {
  return error == ECONNRESET || error == EPIPE ? "peer" : "error";
}

}  // namespace

ZmtpConnection::ZmtpConnection(Connections& connections, const ConnectionSettings& settings,
                               ConnectionOwner& owner, ConnectionEvents& events, Descriptor socket)
    : connections_(connections),
      settings_(settings),
      owner_(owner),
      events_(events),
      socket_(std::move(socket)),
      id_(connections_.next_id_++),
      since_(connections_.loop().now()),
      address_(peer_of(socket_)),
      peer_(settings.peer),
      expects_header_(settings.proxy_protocol) {
  connections_.loop().watch(socket_.get(), *this, interest_);
  queue_output();
}

ZmtpConnection::~ZmtpConnection() {
  connections_.loop().unwatch(socket_.get());
  connections_.queued_bytes_ -= queue_.bytes();
  if (unsent_) std::erase(connections_.unsent_, this);
  if (closing_) std::erase(connections_.closing_, this);
}

void ZmtpConnection::on_events(bool readable, bool writable) {
  if (writable && !closing_) flush();
  if (!readable || closing_) return;
  if (reading_) {
    read_some();
  } else if (is_cut(socket_.get())) {
    close("peer");  // epoll would tell it in each turn
  }
}

void ZmtpConnection::read_some() {
  const std::size_t budget = settings_.read_bytes_per_turn;
  for (std::size_t read = 0; read < budget && reading_ && !closing_;) {
    auto& buffer = connections_.read_buffer_;
    const ssize_t count = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) close(reason_of(errno));
      return;
    }
    if (count == 0) return close("peer");
    read += static_cast<std::size_t>(count);
    receive({buffer.data(), static_cast<std::size_t>(count)});
    if (static_cast<std::size_t>(count) < buffer.size()) return;
  }
}

void ZmtpConnection::receive(std::string_view bytes) {
  if (expects_header_) bytes = skip_proxy_header(bytes);
  if (closing_ || bytes.empty()) return;
  const zmtp::Fault fault = peer_.receive(bytes, *this);
  queue_output();
  if (fault != zmtp::Fault::none) close(zmtp::name(fault));
}

// What follows the header. Its bytes stay in header_ until then.
std::string_view ZmtpConnection::skip_proxy_header(std::string_view bytes) {
  const std::size_t before = header_.size();
  header_ += bytes;
  const ProxyHeader header = read_proxy_header(header_);
  if (header.state == ProxyHeader::State::malformed) {
    close("proxy_header");
    return {};
  }
  if (header.state == ProxyHeader::State::incomplete) return {};
  if (!header.peer.empty()) address_ = header.peer;
  expects_header_ = false;
  header_ = {};
  return bytes.substr(header.bytes - before);
}

void ZmtpConnection::on_ready(const zmtp::PeerInfo&) {
  queue_output();  // the end of the handshake comes first
  ready_ = true;
  owner_.on_ready(*this);
}

void ZmtpConnection::on_message(std::span<const std::string_view> parts) {
  if (!closing_) events_.on_message(*this, parts);
}

void ZmtpConnection::on_subscription(std::string_view topic, bool begins) {
  if (!closing_) events_.on_subscription(*this, topic, begins);
}

void ZmtpConnection::send(const Buffer& messages) {
  if (closing_) return;
  if (peer_.takes_plain()) {
    queue_.push(messages);
    return note_queued(messages->size());
  }
  std::string sealed;
  peer_.append_encoded(sealed, *messages);
  queue(sealed);
}

void ZmtpConnection::send(std::span<const std::string_view> parts) {
  if (closing_) return;
  std::string encoded;
  peer_.append_message(encoded, parts);
  queue(encoded);
}

void ZmtpConnection::send(std::string_view head, const Buffer& body) {
  const std::size_t size = head.size() + body->size();
  if (size < OutboundQueue::gathered_bytes || !peer_.takes_plain()) {
    const std::string whole = std::string(head) + *body;
    const std::string_view part = whole;
    return send(std::span(&part, 1));
  }
  if (closing_) return;
  std::string begin;
  zmtp::append_header(begin, 0, size);
  begin += head;
  queue_.append(begin);
  queue_.push(body);
  note_queued(begin.size() + body->size());
}

void ZmtpConnection::subscribe(std::string_view topic, bool begins) {
  if (closing_) return;
  std::string encoded;
  peer_.append_subscription(encoded, topic, begins);
  queue(encoded);
}

void ZmtpConnection::queue_output() {
  if (peer_.output().empty()) return;
  const std::string output = std::exchange(peer_.output(), {});
  if (ready_ && queue_.bytes() >= most_queued_for_pong) return;
  queue(output);
}

void ZmtpConnection::queue(std::string_view bytes) {
  queue_.append(bytes);
  note_queued(bytes.size());
}

void ZmtpConnection::note_queued(std::size_t bytes) {
  connections_.queued_bytes_ += bytes;
  above_high_water_ |= queue_.bytes() >= settings_.high_water_bytes;
  if (unsent_ || blocked_) return;
  unsent_ = true;
  connections_.unsent_.push_back(this);
}

// Until the kernel takes no more. False when the connection is broken.
bool ZmtpConnection::send_some(std::size_t budget) {
  for (std::size_t written = 0; !queue_.empty() && written < budget;) {
    std::array<iovec, vectors_per_write> vectors;
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = queue_.gather(vectors);
    const ssize_t count = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    const auto taken = static_cast<std::size_t>(count);
    queue_.consume(taken);
    connections_.queued_bytes_ -= taken;
    written += taken;
  }
  return true;
}

void ZmtpConnection::finish(std::chrono::milliseconds patience) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (!closing_ && send_some(SIZE_MAX) && !queue_.empty()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(give_up - std::chrono::steady_clock::now());
    pollfd asked{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    if (left.count() <= 0 || poll(&asked, 1, static_cast<int>(left.count())) == 0) return;
  }
}

void ZmtpConnection::flush() {
  if (!send_some(settings_.write_bytes_per_turn)) return close(reason_of(errno));
  // Also what exceeds this turn's share goes on when the loop finds the descriptor writable.
  blocked_ = !queue_.empty();
  update_interest();
  if (above_high_water_ && !closing_ && queue_.bytes() <= settings_.low_water_bytes) {
    above_high_water_ = false;
    events_.on_drained(*this);
    connections_.loop().post([] {});
  }
}

void ZmtpConnection::set_reading(bool reading) {
  reading_ = reading;
  update_interest();
}

void ZmtpConnection::update_interest() {
  const Interest wanted{.readable = reading_ && !closing_, .writable = blocked_};
  if (std::exchange(interest_, wanted) != wanted) connections_.loop().change(socket_.get(), wanted);
}

void ZmtpConnection::close(std::string_view reason) {
  if (std::exchange(closing_, true)) return;
  reason_ = reason;
  reading_ = false;
  update_interest();
  connections_.closing_.push_back(this);
}

}  // namespace canopy::net
