// Where a stream socket listens or connects. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace canopy::net {

inline constexpr std::string_view tcp_scheme = "tcp://";
inline constexpr std::string_view ipc_scheme = "ipc://";

// A path for ipc (with `@` first a name of the abstract namespace; `@` alone: a free one), else a
// host (name, IPv4, [IPv6] or IPv6; to listen at also `*` for every IPv4 address, [::] for every
// address) and a port, 0 for any free one.
struct StreamAddress {
  std::string host{};
  std::uint16_t port = 0;
  std::string path{};

  bool ipc() const { return !path.empty(); }
};

// Of "tcp://HOST:PORT" or "ipc://PATH", where PORT and PATH may be `*` for any free one. HOST stays
// as it is written. Nothing when it is neither.
std::optional<StreamAddress> parse_address(std::string_view endpoint);

}  // namespace canopy::net
