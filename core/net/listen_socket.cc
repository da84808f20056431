#include "core/net/listen_socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>

#include "core/base/host.h"

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
  const int off = 0;  // [::] takes IPv4 peers, too, whatever the system's default is
  if (family == AF_INET6) setsockopt(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(made.get(), address, size) != 0 || listen(made.get(), backlog) != 0) {
    return {.fault = errno};
  }
  return {.socket = std::move(made)};
}

Bound bind_tcp(const StreamAddress& address, int backlog, std::string& why) {
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

bool is_socket(const char* path) {
  struct stat file {};
  return stat(path, &file) == 0 && S_ISSOCK(file.st_mode);
}

// A socket file outlives its process: only connecting tells whether a process listens.
bool is_stale(const sockaddr_un& address) {
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return false;
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

Bound bind_ipc(const std::string& path, int backlog, std::string& why) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return {.fault = ENAMETOOLONG};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (path.front() == '@') {  // the kernel draws a name where none is given (unix(7))
    address.sun_path[0] = '\0';
    const std::size_t size = path.size() == 1 ? 0 : path.size();
    return bind_to(AF_UNIX, generic, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size),
                   backlog);
  }
  Bound bound = bind_to(AF_UNIX, generic, sizeof address, backlog);
  if (bound.fault != EADDRINUSE) return bound;
  if (!is_socket(path.c_str())) {
    why = "there is a file of this name";
    return {.fault = EEXIST};
  }
  if (!is_stale(address) || unlink(path.c_str()) != 0) return bound;
  return bind_to(AF_UNIX, generic, sizeof address, backlog);
}

std::string shown(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return shown_address(AF_INET, &v4.sin_addr, ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    return shown_address(AF_INET, &v6.sin6_addr.s6_addr[12], ntohs(v6.sin6_port));
  }
  return shown_address(AF_INET6, &v6.sin6_addr, ntohs(v6.sin6_port));
}

}  // namespace

std::string shown_address(int family, const void* address, std::uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(family, address, text.data(), text.size());
  const std::string host(text.data());
  return (family == AF_INET6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

base::Result<StreamAddress> parse_listen_address(const std::string& endpoint) {
  const auto cannot = [&](const std::string& why) {
    return base::Error{"cannot bind " + endpoint + ": " + why};
  };
  auto address = parse_address(endpoint);
  if (!address) return cannot("no endpoint");
  if (address->ipc()) return std::move(*address);
  const auto host = base::listening_host(address->host);
  if (!host) return cannot(host.error());
  address->host = *host;
  return std::move(*address);
}

base::Result<Descriptor> listen_at(const StreamAddress& address, int backlog,
                                   std::chrono::milliseconds patience) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  for (;;) {
    std::string why;
    Bound bound =
        address.ipc() ? bind_ipc(address.path, backlog, why) : bind_tcp(address, backlog, why);
    if (bound.socket) return std::move(bound.socket);
    if (bound.fault != EADDRINUSE || std::chrono::steady_clock::now() >= give_up) {
      const std::string where = address.ipc() ? std::string(ipc_scheme) + address.path
                                              : std::string(tcp_scheme) + address.host + ":" +
                                                    std::to_string(address.port);
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
    const char* path = reinterpret_cast<const sockaddr_un&>(address).sun_path;
    if (*path != '\0') return std::string(ipc_scheme) + path;
    const std::size_t length = size - offsetof(sockaddr_un, sun_path);
    return std::string(ipc_scheme) + "@" + std::string(path + 1, length - 1);
  }
  return std::string(tcp_scheme) + shown(address);
}

std::string peer_of(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return address.ss_family == AF_UNIX ? "local" : shown(address);
}

void set_tcp_options(const Descriptor& socket) {
  const auto set = [fd = socket.get()](int level, int option, int value) {
    setsockopt(fd, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

}  // namespace canopy::net
