// Commands of ZMTP 3.x (RFC 23 and RFC 37) without encryption: the body of a command frame.
//
//     ┌─────────────┬──────┬──────┐    READY, INITIATE: data is metadata, a list of
//     │ name length │ name │ data │      name length (1) · name · value length (4) · value
//     └─────────────┴──────┴──────┘    ERROR: reason length (1) · reason
//                                      PING: time to live (2) · context (0-16)   PONG: context
//                                      SUBSCRIBE, CANCEL: the topic
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/zmtp/protocol.h"

namespace canopy::zmtp {

inline constexpr std::size_t max_ping_context_bytes = 16;
inline constexpr std::size_t max_routing_id_bytes = 255;

struct Command {
  std::string_view name{};
  std::string_view data{};
};

// Nothing when `body` is too short for the name it announces.
std::optional<Command> parse_command(std::string_view body);
// The body of a command frame.
std::string make_command(std::string_view name, std::string_view data);

// What a peer says of itself in READY or INITIATE.
struct Metadata {
  SocketType socket_type = SocketType::pair;
  std::string routing_id{};  // chosen by the peer; empty: none
};

// Nothing when it is malformed or names no known socket type. Other properties are ignored.
std::optional<Metadata> parse_metadata(std::string_view data);
// `routing_id` is of at most max_routing_id_bytes; empty: none.
std::string make_metadata(SocketType type, std::string_view routing_id = {});

}  // namespace canopy::zmtp
