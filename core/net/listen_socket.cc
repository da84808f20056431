#include "core/net/listen_socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

namespace canopy::net {
namespace {

constexpr std::chrono::milliseconds retry_period{20};

struct Bound {
  Descriptor socket{};
  int fault = 0;  // errno
};

Bound bind_to(int family, const sockaddr* address, socklen_t size, int backlog) {
  Descriptor made(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made) return {.fault = errno};
  const int on = 1;
  if (family != AF_UNIX) {
    setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  if (family == AF_INET6) setsockopt(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(made.get(), address, size) != 0 || listen(made.get(), backlog) != 0) {
    return {.fault = errno};
  }
  return {.socket = std::move(made)};
}

Bound bind_tcp(const ListenAddress& address, int backlog, std::string& why) {
  std::string host = address.host;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = host == "*" ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int fault = getaddrinfo(host == "*" ? nullptr : host.c_str(),
                                std::to_string(address.port).c_str(), &hints, &found);
  if (fault != 0) {
    why = gai_strerror(fault);
    return {.fault = EADDRNOTAVAIL};
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  return bind_to(found->ai_family, found->ai_addr, found->ai_addrlen, backlog);
}

// A socket file outlives its process: only connecting tells whether a process listens.
bool is_stale(const sockaddr_un& address, socklen_t size) {
  struct stat file {};
  if (stat(address.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return false;
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 &&
         errno == ECONNREFUSED;
}

Bound bind_ipc(const std::string& path, int backlog) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return {.fault = ENAMETOOLONG};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  Bound bound = bind_to(AF_UNIX, generic, sizeof address, backlog);
  if (bound.fault == EADDRINUSE && is_stale(address, sizeof address) && unlink(path.c_str()) == 0) {
    bound = bind_to(AF_UNIX, generic, sizeof address, backlog);
  }
  return bound;
}

std::string shown(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
}

}  // namespace

base::Result<Descriptor> listen_at(const ListenAddress& address, int backlog,
                                   std::chrono::milliseconds patience) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  for (;;) {
    std::string why;
    Bound bound = address.ipc() ? bind_ipc(address.path, backlog) : bind_tcp(address, backlog, why);
    if (bound.socket) return std::move(bound.socket);
    if (bound.fault != EADDRINUSE || std::chrono::steady_clock::now() >= give_up) {
      const std::string where = address.ipc()
                                    ? "ipc://" + address.path
                                    : "tcp://" + address.host + ":" + std::to_string(address.port);
      return base::Error{"cannot bind " + where + ": " +
                         (why.empty() ? std::strerror(bound.fault) : why)};
    }
    std::this_thread::sleep_for(retry_period);
  }
}

std::string endpoint_of(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  if (address.ss_family == AF_UNIX) {
    return std::string("ipc://") + reinterpret_cast<const sockaddr_un&>(address).sun_path;
  }
  return "tcp://" + shown(address);
}

std::string peer_of(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return address.ss_family == AF_UNIX ? "local" : shown(address);
}

}  // namespace canopy::net
