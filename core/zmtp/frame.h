// Frames of ZMTP 2.0 and 3.x (RFC 23, "Framing"). Pure.
//
//     ┌───────┬──────────────────────────┬──────┐   flags: 1 more · 2 large · 4 command
//     │ flags │ size: 1 byte, or 8 bytes │ body │   size is big-endian; 8 bytes when `large`
//     └───────┴──────────────────────────┴──────┘
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace canopy::zmtp {

inline constexpr std::uint8_t flag_more = 1;
inline constexpr std::uint8_t flag_large = 2;
inline constexpr std::uint8_t flag_command = 4;

struct FrameHeader {
  std::uint8_t flags = 0;
  std::uint64_t body_bytes = 0;
  std::size_t header_bytes = 0;

  bool more() const { return (flags & flag_more) != 0; }
  bool command() const { return (flags & flag_command) != 0; }
  // False when flags are set that the protocol does not define, or a command says `more`.
  bool well_formed() const {
    return (flags & ~(flag_more | flag_large | flag_command)) == 0 && !(command() && more());
  }
};

// The header that `bytes` begins with; nothing while it is incomplete.
std::optional<FrameHeader> read_header(std::string_view bytes);

// `flags` without `large`, which the size decides.
void append_header(std::string& out, std::uint8_t flags, std::size_t body_bytes);
void append_frame(std::string& out, std::uint8_t flags, std::string_view body);
// A whole message, as every unencrypted peer reads it.
void append_message(std::string& out, std::span<const std::string_view> parts);

}  // namespace canopy::zmtp
