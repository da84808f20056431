// HTTP over IPv6: Debian's civetweb is built without it. The server is started on the IPv4
// loopback, and its listening socket is then replaced with one that is bound to the IPv6 address.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"

namespace canopy::metrics {

// A listening TCP socket, not blocking; `[::]` takes IPv4 connections, too. Closed with its owner.
class Ipv6Listener {
 public:
  // `address` is [IPv6]:PORT. The error is "address already in use" or what the kernel says.
  static base::Result<Ipv6Listener> bind(const std::string& address);
  Ipv6Listener(Ipv6Listener&& other) noexcept;
  Ipv6Listener& operator=(Ipv6Listener&&) = delete;
  ~Ipv6Listener();

  // [IPv6]:PORT as bound.
  const std::string& address() const { return address_; }
  // Puts this socket in the place of the one that this process has bound to 127.0.0.1:`port`.
  base::Status replace(std::uint16_t port);

 private:
  explicit Ipv6Listener(int fd) : fd_(fd) {}
  int fd_;
  std::string address_{};
};

// Connects to `address` (numeric HOST:PORT) and hangs up: whoever waits there looks up.
void knock(const std::string& address);

}  // namespace canopy::metrics
