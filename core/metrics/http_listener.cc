#include "core/metrics/http_listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <vector>

namespace canopy::metrics {
namespace {

constexpr int backlog = 512;
// Pause of accepting while no descriptor is free, because the listener stays readable.
constexpr std::chrono::milliseconds accept_pause{100};
constexpr std::size_t accepts_per_turn = 64;

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

base::Result<Addresses> resolve(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return base::Error{"not HOST:PORT"};
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  std::uint16_t number = 0;
  const auto [end, fault] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (fault != std::errc() || end != port.data() + port.size()) {
    return base::Error{"'" + port + "' is not a port"};
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "*") host = "0.0.0.0";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); code != 0) {
    return base::Error{gai_strerror(code)};
  }
  return Addresses(found, &freeaddrinfo);
}

std::string last_error() {
  return errno == EADDRINUSE ? HttpListener::in_use : std::strerror(errno);
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(bound).sin_port);
}

bool is_whole(const std::string& request) {
  return request.find("\r\n\r\n") != std::string::npos || request.find("\n\n") != std::string::npos;
}

bool again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

base::Result<std::unique_ptr<HttpListener>> HttpListener::open(const std::string& address) {
  auto wanted = resolve(address);
  if (!wanted) return base::Error{wanted.error()};
  const addrinfo& to = **wanted;
  std::unique_ptr<HttpListener> listener(new HttpListener);
  listener->listener_ = socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener->listener_ < 0) return base::Error{last_error()};
  const int on = 1;
  const int off = 0;
  setsockopt(listener->listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // `[::]` serves IPv4, too, as the sockets of libzmq do.
  if (to.ai_family == AF_INET6) {
    setsockopt(listener->listener_, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (bind(listener->listener_, to.ai_addr, to.ai_addrlen) != 0 ||
      listen(listener->listener_, backlog) != 0) {
    return base::Error{last_error()};
  }
  listener->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (listener->wake_ < 0) return base::Error{last_error()};
  listener->address_ =
      address.substr(0, address.rfind(':') + 1) + std::to_string(bound_port(listener->listener_));
  return listener;
}

HttpListener::~HttpListener() {
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  for (const Peer& peer : peers_) close(peer.fd);
  if (listener_ >= 0) close(listener_);
  if (wake_ >= 0) close(wake_);
}

void HttpListener::serve(Answer answer) {
  answer_ = std::move(answer);
  thread_ = std::thread([this] { run(); });
}

void HttpListener::run() {
  while (!ending_) wait();
}

// Waits for readiness or the next timeout, and handles it.
void HttpListener::wait() {
  const auto now = Clock::now();
  const bool accepts = now >= accept_again_;
  std::vector<pollfd> polled = {{wake_, POLLIN, 0}, {accepts ? listener_ : -1, POLLIN, 0}};
  auto until = accepts ? Clock::time_point::max() : accept_again_;
  for (const Peer& peer : peers_) {
    const bool writes = !peer.response.empty() && !peer.done;
    polled.push_back({peer.fd, static_cast<short>(writes ? POLLOUT : POLLIN), 0});
    until = std::min(until, peer.until);
  }
  int timeout = -1;
  if (until != Clock::time_point::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now);
    timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }
  if (poll(polled.data(), polled.size(), timeout) < 0) return;
  ending_ = polled[0].revents != 0;
  auto event = polled.begin() + 2;
  for (auto peer = peers_.begin(); peer != peers_.end(); ++event) {
    if (event->revents == 0 || advance(*peer)) {
      ++peer;
    } else {
      close(peer->fd);
      peer = peers_.erase(peer);
    }
  }
  if (polled[1].revents != 0) accept_all();
  close_late();
}

void HttpListener::accept_all() {
  for (std::size_t i = 0; i < accepts_per_turn; ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == ECONNABORTED) continue;
      if (!again()) accept_again_ = Clock::now() + accept_pause;
      return;
    }
    make_place();
    peers_.push_back({.fd = fd, .until = Clock::now() + request_patience});
    // A request that arrived with its connection is answered before the next connection replaces
    // it.
    if (!advance(peers_.back())) {
      close(fd);
      peers_.pop_back();
    }
  }
}

// At the bound, closes the oldest answered connection, else the oldest without a complete request.
void HttpListener::make_place() {
  if (peers_.size() < max_connections) return;
  auto gone = std::ranges::find_if(peers_, [](const Peer& peer) { return peer.done; });
  if (gone == peers_.end()) {
    gone = std::ranges::find_if(peers_, [](const Peer& peer) { return peer.response.empty(); });
  }
  if (gone == peers_.end()) gone = peers_.begin();
  close(gone->fd);
  peers_.erase(gone);
}

// False when the connection is to be closed.
bool HttpListener::advance(Peer& peer) {
  if (peer.response.empty() || peer.done) {
    if (!read(peer)) return false;
    if (peer.done || !is_whole(peer.request)) return true;
    peer.response = answer_(peer.request);
    if (peer.response.empty()) return false;
    peer.until = Clock::now() + answer_patience;
  }
  return write(peer);
}

bool HttpListener::read(Peer& peer) {
  std::array<char, 4096> chunk;
  const ssize_t n = recv(peer.fd, chunk.data(), chunk.size(), 0);
  if (n == 0) return false;
  if (n < 0) return again();
  if (peer.done) return true;
  peer.request.append(chunk.data(), static_cast<std::size_t>(n));
  return peer.request.size() <= max_request_bytes;
}

bool HttpListener::write(Peer& peer) {
  const ssize_t n = send(peer.fd, peer.response.data() + peer.sent,
                         peer.response.size() - peer.sent, MSG_NOSIGNAL);
  if (n < 0) return again();
  peer.sent += static_cast<std::size_t>(n);
  if (peer.sent < peer.response.size()) return true;
  // Closing a socket with unread input would reset the connection and lose the end of the response.
  shutdown(peer.fd, SHUT_WR);
  peer.done = true;
  peer.until = Clock::now() + request_patience;
  peer.response.clear();
  peer.request.clear();
  return true;
}

void HttpListener::close_late() {
  const auto now = Clock::now();
  std::erase_if(peers_, [now](const Peer& peer) {
    if (now < peer.until) return false;
    close(peer.fd);
    return true;
  });
}

}  // namespace canopy::metrics
