#include "core/access/keys.h"

#include <sodium.h>

#include <cstdlib>

namespace canopy::access {
namespace {

constexpr std::size_t block_characters = 5;  // of four bytes
constexpr std::size_t key_bytes = crypto_box_PUBLICKEYBYTES;

unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

}  // namespace

KeyPair make_key_pair() {
  if (sodium_init() < 0) std::abort();
  std::string public_key(key_bytes, '\0');
  std::string secret_key(key_bytes, '\0');
  crypto_box_keypair(raw(public_key), raw(secret_key));
  return {.public_key = encode_key(public_key), .secret_key = encode_key(secret_key)};
}

bool is_pair(const KeyPair& keys) {
  auto secret_key = decode_key(keys.secret_key);
  std::string public_key(key_bytes, '\0');
  return secret_key && crypto_scalarmult_base(raw(public_key), raw(*secret_key)) == 0 &&
         encode_key(public_key) == keys.public_key;
}

std::optional<std::string> decode_key(std::string_view text) {
  if (!is_key(text)) return std::nullopt;
  std::string bytes;
  for (std::size_t at = 0; at < text.size(); at += block_characters) {
    std::uint64_t value = 0;
    for (const char c : text.substr(at, block_characters)) value = value * 85 + z85.find(c);
    if (value > 0xffffffff) return std::nullopt;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  }
  return bytes;
}

std::string encode_key(std::string_view bytes) {
  std::string text;
  for (std::size_t at = 0; at + 4 <= bytes.size(); at += 4) {
    std::uint64_t value = 0;
    for (const char byte : bytes.substr(at, 4)) {
      value = value << 8 | static_cast<unsigned char>(byte);
    }
    std::string block(block_characters, ' ');
    for (auto c = block.rbegin(); c != block.rend(); ++c, value /= 85) *c = z85[value % 85];
    text += block;
  }
  return text;
}

}  // namespace canopy::access
