// The keys of CurveZMQ (RFC 26), by which processes and clients know each other. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace canopy::access {

// A key as Z85 text (RFC 32): 40 characters for 32 bytes.
constexpr std::size_t key_characters = 40;

struct KeyPair {
  std::string public_key = {};
  std::string secret_key = {};

  bool operator==(const KeyPair&) const = default;
};

inline constexpr std::string_view z85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

constexpr bool is_key(std::string_view text) {
  return text.size() == key_characters && text.find_first_not_of(z85) == std::string_view::npos;
}

// The 32 bytes of a key; nothing when `text` is none.
std::optional<std::string> decode_key(std::string_view text);
// The text of a key's 32 bytes.
std::string encode_key(std::string_view bytes);

}  // namespace canopy::access
