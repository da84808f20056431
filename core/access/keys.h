// The keys of CurveZMQ (RFC 26), by which processes and clients know each other. Thread-safe.
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

// The server that a client expects, and the client's own keys.
struct ClientKeys {
  std::string server_key = {};  // public
  KeyPair own = {};
};

// A new pair, drawn by libsodium.
KeyPair make_key_pair();
// Whether the keys belong together.
bool is_pair(const KeyPair& keys);

inline constexpr std::string_view z85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

// Five characters encode four bytes, so some groups of five exceed 32 bits and are no key.
constexpr bool is_key(std::string_view text) {
  if (text.size() != key_characters) return false;
  for (std::size_t at = 0; at < text.size(); at += 5) {
    std::uint64_t number = 0;
    for (const char c : text.substr(at, 5)) {
      const std::size_t digit = z85.find(c);
      if (digit == std::string_view::npos) return false;
      number = number * z85.size() + digit;
    }
    if (number > UINT32_MAX) return false;
  }
  return true;
}

// The 32 bytes of a key; nothing when `text` is none.
std::optional<std::string> decode_key(std::string_view text);
// The text of a key's 32 bytes.
std::string encode_key(std::string_view bytes);

}  // namespace canopy::access
