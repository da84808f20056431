// The PROXY protocol, versions 1 and 2, by which a load balancer says whom it connects for
// (HAProxy's doc/proxy-protocol.txt). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace canopy::net {

// The longest header that is read: version 2 with its extensions.
inline constexpr std::size_t max_proxy_header_bytes = 4096;

struct ProxyHeader {
  enum class State { incomplete, complete, malformed };
  State state = State::incomplete;
  std::size_t bytes = 0;  // of the header, when complete
  // "192.0.2.1:4711" or "[2001:db8::1]:4711"; empty when the balancer connects for itself, as for a
  // health check, or does not know.
  std::string peer{};
};

// Reads the header that a connection's first bytes must be.
ProxyHeader read_proxy_header(std::string_view bytes);

}  // namespace canopy::net
