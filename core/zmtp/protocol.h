// The words of ZMTP that every file of this folder shares: socket types, limits and faults.
// Specified in RFC 23 (ZMTP 3.0), RFC 37 (ZMTP 3.1) and RFC 15 (ZMTP 2.0). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace canopy::zmtp {

// The numbers are those of ZMTP 2.0's greeting.
enum class SocketType : std::uint8_t {
  pair = 0,
  pub = 1,
  sub = 2,
  req = 3,
  rep = 4,
  dealer = 5,
  router = 6,
  pull = 7,
  push = 8,
  xpub = 9,
  xsub = 10,
};

// As metadata spells it: "DEALER".
std::string_view name(SocketType type);
std::optional<SocketType> parse_socket_type(std::string_view name);
// True when a socket of type `ours` can talk to one of type `theirs` (RFC 23, RFC 28, RFC 29).
bool compatible(SocketType ours, SocketType theirs);
// True for the types whose peers subscribe to what they are sent.
constexpr bool publishes(SocketType type) {
  return type == SocketType::pub || type == SocketType::xpub;
}

// What one connection may make the process hold. A peer that exceeds a limit is disconnected.
struct Limits {
  std::size_t frame_bytes = std::size_t{4} << 20;
  std::size_t message_bytes = std::size_t{8} << 20;  // all frames of one message
  std::size_t parts = 16;                            // frames of one message
};

// Why a connection must end.
enum class Fault : std::uint8_t {
  none,
  not_zmtp,          // the first bytes are no greeting
  version_1,         // a peer of ZMTP 1.0
  mechanism,         // the peer speaks another security mechanism
  wrong_server_key,  // CURVE: the peer expects another server
  cryptographic,     // CURVE: a box that does not open, or a nonce that does not grow
  unknown_key,       // CURVE: the peer's key is not known
  handshake,         // a handshake command that is malformed or out of turn
  incompatible,      // the peer's socket type does not match ours
  refused,           // the peer has sent ERROR
  malformed,         // a frame with undefined flags, or a command that cannot be read
  frame_too_large,
  message_too_large,
  too_many_parts,
};

// For logs and metric labels: "frame_too_large".
std::string_view name(Fault fault);

}  // namespace canopy::zmtp
