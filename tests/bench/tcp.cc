#include "tests/bench/tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace canopy::bench {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void no_delay(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int make_socket() {
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) fail("socket");
  return made;
}

}  // namespace

void fail(std::string_view what) {
  const char* reason = errno != 0 ? std::strerror(errno) : "failed";
  std::fprintf(stderr, "%s: %.*s: %s\n", program_invocation_short_name,
               static_cast<int>(what.size()), what.data(), reason);
  std::exit(1);
}

int connect_to(std::uint16_t port) {
  const int made = make_socket();
  no_delay(made);
  const sockaddr_in address = loopback(port);
  if (connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0 &&
      errno != EINPROGRESS) {
    fail("connect");
  }
  return made;
}

int listen_on_free_port(std::uint16_t& port) {
  const int made = make_socket();
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  if (bind(made, reinterpret_cast<const sockaddr*>(&address), size) < 0) fail("bind");
  if (listen(made, 1024) < 0) fail("listen");
  if (getsockname(made, reinterpret_cast<sockaddr*>(&address), &size) < 0) fail("getsockname");
  port = ntohs(address.sin_port);
  return made;
}

int accept_from(int listener) {
  const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted >= 0) no_delay(accepted);
  return accepted;
}

std::size_t send_some(int socket, std::string_view data) {
  const ssize_t sent = send(socket, data.data(), data.size(), MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno != EAGAIN && errno != EINTR && errno != ENOTCONN) fail("send");
  return 0;
}

}  // namespace canopy::bench
