#include "core/zmtp/frame.h"

namespace canopy::zmtp {
namespace {

constexpr std::size_t short_header = 2;
constexpr std::size_t long_header = 9;
constexpr std::size_t longest_short_body = 255;

}  // namespace

std::optional<FrameHeader> read_header(std::string_view bytes) {
  if (bytes.size() < short_header) return std::nullopt;
  FrameHeader header{.flags = static_cast<std::uint8_t>(bytes[0]),
                     .body_bytes = static_cast<std::uint8_t>(bytes[1]),
                     .header_bytes = short_header};
  if ((header.flags & flag_large) == 0) return header;
  if (bytes.size() < long_header) return std::nullopt;
  header.header_bytes = long_header;
  header.body_bytes = 0;
  for (const char byte : bytes.substr(1, long_header - 1)) {
    header.body_bytes = header.body_bytes << 8 | static_cast<std::uint8_t>(byte);
  }
  return header;
}

void append_header(std::string& out, std::uint8_t flags, std::size_t body_bytes) {
  if (body_bytes <= longest_short_body) {
    out += static_cast<char>(flags);
    out += static_cast<char>(body_bytes);
    return;
  }
  out += static_cast<char>(flags | flag_large);
  for (int shift = 56; shift >= 0; shift -= 8) {
    out += static_cast<char>(std::uint64_t{body_bytes} >> shift);
  }
}

void append_frame(std::string& out, std::uint8_t flags, std::string_view body) {
  append_header(out, flags, body.size());
  out += body;
}

void append_message(std::string& out, std::span<const std::string_view> parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    append_frame(out, i + 1 < parts.size() ? flag_more : 0, parts[i]);
  }
}

}  // namespace canopy::zmtp
