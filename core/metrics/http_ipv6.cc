#include "core/metrics/http_ipv6.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "core/metrics/http_get.h"

namespace canopy::metrics {
namespace {

constexpr int backlog = 128;

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// Of a numeric HOST:PORT; null when it is none.
Addresses numeric(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0) {
    found = nullptr;
  }
  return {found, &freeaddrinfo};
}

std::string last_error() {
  return errno == EADDRINUSE ? "address already in use" : std::strerror(errno);
}

// Whether `fd` listens at 127.0.0.1:`port`.
bool is_listener(int fd, std::uint16_t port) {
  sockaddr_in bound{};
  socklen_t size = sizeof bound;
  int listens = 0;
  socklen_t listens_size = sizeof listens;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
         bound.sin_family == AF_INET && bound.sin_port == htons(port) &&
         getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) == 0 && listens != 0;
}

int find_listener(std::uint16_t port) {
  std::error_code fault;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", fault)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    if (is_listener(fd, port)) return fd;
  }
  return -1;
}

}  // namespace

base::Result<Ipv6Listener> Ipv6Listener::bind(const std::string& address) {
  const Addresses wanted = numeric(address);
  if (wanted == nullptr || wanted->ai_family != AF_INET6) return base::Error{"no IPv6 address"};
  Ipv6Listener listener(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (listener.fd_ < 0) return base::Error{last_error()};
  const int on = 1;
  const int off = 0;
  setsockopt(listener.fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener.fd_, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(listener.fd_, wanted->ai_addr, wanted->ai_addrlen) != 0 ||
      listen(listener.fd_, backlog) != 0) {
    return base::Error{last_error()};
  }
  sockaddr_in6 bound{};
  socklen_t size = sizeof bound;
  getsockname(listener.fd_, reinterpret_cast<sockaddr*>(&bound), &size);
  listener.address_ =
      address.substr(0, address.rfind(':') + 1) + std::to_string(ntohs(bound.sin6_port));
  return listener;
}

Ipv6Listener::Ipv6Listener(Ipv6Listener&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(std::move(other.address_)) {}

Ipv6Listener::~Ipv6Listener() {
  if (fd_ >= 0) close(fd_);
}

base::Status Ipv6Listener::replace(std::uint16_t port) {
  const int taken = find_listener(port);
  if (taken < 0) return base::Error{"the IPv4 listener is not found"};
  if (dup3(fd_, taken, O_CLOEXEC) < 0) return base::Error{last_error()};
  // The server's thread waits for the socket that was there. A connection to that one wakes it; it
  // goes back to poll(2) for the new one only when it finds a connection to accept.
  knock(local_address(address_));
  knock("127.0.0.1:" + std::to_string(port));
  return {};
}

void knock(const std::string& address) {
  const Addresses to = numeric(address);
  if (to == nullptr) return;
  const int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const timeval patience{0, 100'000};  // bounds connect(), too
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  (void)connect(fd, to->ai_addr, to->ai_addrlen);
  close(fd);
}

}  // namespace canopy::metrics
