#include "core/net/proxy_protocol.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <vector>

#include "core/net/listen_socket.h"

namespace canopy::net {
namespace {

constexpr std::string_view signature_2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view signature_1 = "PROXY ";
constexpr std::size_t fixed_bytes_2 = 16;
constexpr std::size_t longest_line_1 = 107;

ProxyHeader malformed() { return {.state = ProxyHeader::State::malformed}; }

std::uint16_t read_16(std::string_view bytes) {
  return static_cast<std::uint16_t>(static_cast<std::uint8_t>(bytes[0]) << 8 |
                                    static_cast<std::uint8_t>(bytes[1]));
}

ProxyHeader read_version_2(std::string_view bytes) {
  if (bytes.size() < fixed_bytes_2) return {};
  const auto version_and_command = static_cast<std::uint8_t>(bytes[12]);
  const auto family = static_cast<std::uint8_t>(bytes[13]);
  const std::size_t length = read_16(bytes.substr(14));
  const std::size_t total = fixed_bytes_2 + length;
  if (version_and_command >> 4 != 2 || total > max_proxy_header_bytes) return malformed();
  if (bytes.size() < total) return {};
  ProxyHeader header{.state = ProxyHeader::State::complete, .bytes = total};
  const std::string_view addresses = bytes.substr(fixed_bytes_2, length);
  const std::uint8_t command = version_and_command & 0x0f;
  if (command > 1) return malformed();
  if (command == 0) return header;  // LOCAL
  constexpr std::uint8_t tcp4 = 0x11;
  constexpr std::uint8_t tcp6 = 0x21;
  if (family == tcp4) {
    if (length < 12) return malformed();
    header.peer = shown_address(AF_INET, addresses.data(), read_16(addresses.substr(8)));
  } else if (family == tcp6) {
    if (length < 36) return malformed();
    header.peer = shown_address(AF_INET6, addresses.data(), read_16(addresses.substr(32)));
  }
  return header;
}

// "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", or "PROXY UNKNOWN ...\r\n".
ProxyHeader read_version_1(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, longest_line_1).find("\r\n");
  if (end == std::string_view::npos) {
    return bytes.size() < longest_line_1 ? ProxyHeader{} : malformed();
  }
  ProxyHeader header{.state = ProxyHeader::State::complete, .bytes = end + 2};
  std::string_view line = bytes.substr(signature_1.size(), end - signature_1.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return header;
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t space = std::min(line.find(' ', at), line.size());
    words.push_back(line.substr(at, space - at));
    at = space + 1;
  }
  if (words.size() != 5 || (words[0] != "TCP4" && words[0] != "TCP6")) return malformed();
  const int family = words[0] == "TCP4" ? AF_INET : AF_INET6;
  std::array<unsigned char, sizeof(in6_addr)> address;
  std::uint16_t port = 0;
  const auto [rest, fault] =
      std::from_chars(words[3].data(), words[3].data() + words[3].size(), port);
  if (inet_pton(family, std::string(words[1]).c_str(), address.data()) != 1 ||
      fault != std::errc{} || rest != words[3].data() + words[3].size()) {
    return malformed();
  }
  header.peer = shown_address(family, address.data(), port);
  return header;
}

}  // namespace

ProxyHeader read_proxy_header(std::string_view bytes) {
  const auto begins = [&](std::string_view signature) {
    const std::size_t common = std::min(bytes.size(), signature.size());
    return bytes.substr(0, common) == signature.substr(0, common);
  };
  if (begins(signature_2)) {
    return bytes.size() < signature_2.size() ? ProxyHeader{} : read_version_2(bytes);
  }
  if (begins(signature_1)) {
    return bytes.size() < signature_1.size() ? ProxyHeader{} : read_version_1(bytes);
  }
  return malformed();
}

}  // namespace canopy::net
