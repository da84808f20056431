#include "core/net/stream_address.h"

#include <charconv>

namespace canopy::net {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  if (text == "*") return port;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<StreamAddress> parse_address(std::string_view endpoint) {
  if (endpoint.starts_with(ipc_scheme) && endpoint.size() > ipc_scheme.size()) {
    const std::string_view path = endpoint.substr(ipc_scheme.size());
    return StreamAddress{.path = std::string(path == "*" ? "@" : path)};
  }
  const std::size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(tcp_scheme) || colon <= tcp_scheme.size()) return std::nullopt;
  const auto port = parse_port(endpoint.substr(colon + 1));
  if (!port) return std::nullopt;
  return StreamAddress{
      .host = std::string(endpoint.substr(tcp_scheme.size(), colon - tcp_scheme.size())),
      .port = *port};
}

}  // namespace canopy::net
