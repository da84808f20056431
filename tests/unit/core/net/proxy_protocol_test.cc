#include "core/net/proxy_protocol.h"

#include <gtest/gtest.h>

namespace canopy::net {
namespace {

using State = ProxyHeader::State;

std::string version_2(std::uint8_t command, std::uint8_t family, std::string addresses) {
  std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
  bytes += static_cast<char>(0x20 | command);
  bytes += static_cast<char>(family);
  bytes += static_cast<char>(addresses.size() >> 8);
  bytes += static_cast<char>(addresses.size());
  return bytes + addresses;
}

const std::string tcp4 = version_2(1, 0x11, std::string("\xc0\0\2\1\xc0\0\2\2\x12\x67\1\xbb", 12));

void expect_complete(const std::string& header, const std::string& peer) {
  const auto read = read_proxy_header(header + "more");
  EXPECT_EQ(read.state, State::complete);
  EXPECT_EQ(read.bytes, header.size());
  EXPECT_EQ(read.peer, peer);
  for (std::size_t cut = 0; cut < header.size(); ++cut) {
    EXPECT_EQ(read_proxy_header(header.substr(0, cut)).state, State::incomplete) << cut;
  }
}

TEST(ProxyProtocol, Version1) {
  expect_complete("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", "192.0.2.1:4711");
  expect_complete("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "[2001:db8::1]:1");
  expect_complete("PROXY UNKNOWN\r\n", "");
  expect_complete("PROXY UNKNOWN whatever it says\r\n", "");
}

TEST(ProxyProtocol, Version2) {
  expect_complete(tcp4, "192.0.2.1:4711");
  std::string v6("\x20\x01\x0d\xb8", 4);
  v6 += std::string(11, '\0') + "\1" + std::string(16, '\0') + std::string("\0\7\0\1", 4);
  expect_complete(version_2(1, 0x21, v6), "[2001:db8::1]:7");
  expect_complete(version_2(1, 0x21, v6 + "extensions"), "[2001:db8::1]:7");
  expect_complete(version_2(0, 0, ""), "");                        // a health check
  expect_complete(version_2(1, 0x31, std::string(216, 'x')), "");  // over a unix socket
}

TEST(ProxyProtocol, RefusesWhatIsNone) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n"), std::string("\xff\0\0\0\0\0\0\0\1\x7f", 10),
        std::string("PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n"),
        std::string("PROXY TCP4 999.0.2.1 192.0.2.2 4711 443\r\n"),
        std::string("PROXY TCP4 192.0.2.1 192.0.2.2 99999 443\r\n"),
        std::string("PROXY TCP5 192.0.2.1 192.0.2.2 4711 443\r\n"),
        "PROXY " + std::string(200, 'x'), version_2(2, 0x11, std::string(12, '\0')),
        version_2(1, 0x11, "short"), version_2(1, 0x11, std::string(5000, 'x'))}) {
    EXPECT_EQ(read_proxy_header(bytes).state, State::malformed) << bytes;
  }
}

}  // namespace
}  // namespace canopy::net
