#include "core/metrics/http_get.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/base/host.h"

namespace canopy::metrics {
namespace {

constexpr std::size_t max_response_bytes = std::size_t{8} << 20;

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

base::Status connect_to(const std::string& address, std::chrono::milliseconds timeout,
                        Descriptor& connection) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return base::Error{"not HOST:PORT: " + address};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const int failure = getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found);
  if (failure != 0) return base::Error{address + ": " + gai_strerror(failure)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);

  const timeval patience{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int fd = socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
    if (fd < 0) continue;
    // The send timeout bounds connect() too.
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, one->ai_addr, one->ai_addrlen) == 0) {
      connection.fd = fd;
      return {};
    }
    close(fd);
  }
  return base::Error{"nobody answers at " + address + ": " + std::strerror(errno)};
}

}  // namespace

std::string local_address(const std::string& bound) {
  const auto colon = bound.rfind(':');
  const std::string host = bound.substr(0, colon);
  if (host == "*" || host == "0.0.0.0") return "127.0.0.1" + bound.substr(colon);
  if (host == "[::]") return "[::1]" + bound.substr(colon);
  return base::interface_host(host).value_or(host) + bound.substr(colon);
}

base::Result<std::string> http_exchange(const std::string& address, const std::string& request,
                                        std::chrono::milliseconds timeout) {
  Descriptor connection;
  if (auto connected = connect_to(address, timeout, connection); !connected) {
    return base::Error{connected.error()};
  }
  if (send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return base::Error{address + ": " + std::strerror(errno)};
  }
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  std::string response;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t n = recv(connection.fd, chunk.data(), chunk.size(), 0);
    if (n == 0) return response;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::Error{address + ": " + std::strerror(errno)};
    response.append(chunk.data(), static_cast<std::size_t>(n));
    if (response.size() > max_response_bytes || std::chrono::steady_clock::now() > give_up) {
      return base::Error{address + ": the answer is too long"};
    }
  }
}

base::Result<HttpResponse> http_get(const std::string& address, const std::string& path,
                                    std::chrono::milliseconds timeout) {
  // HTTP/1.0: no chunks, and the end of the document is the end of the connection.
  const auto response =
      http_exchange(address, "GET " + path + " HTTP/1.0\r\nHost: " + address + "\r\n\r\n", timeout);
  if (!response) return base::Error{response.error()};
  const auto body = response->find("\r\n\r\n");
  if (!response->starts_with("HTTP/1.") || response->size() < 12 || body == std::string::npos) {
    return base::Error{address + path + ": not an HTTP answer"};
  }
  return HttpResponse{.status = std::atoi(response->c_str() + 9),
                      .body = response->substr(body + 4)};
}

}  // namespace canopy::metrics
