// Sizes, names and nonces of CURVE's commands, for the files of this folder that make or read them.
// Pure.
#pragma once

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <string>
#include <string_view>

#include "core/zmtp/curve.h"

namespace canopy::zmtp::curve {

inline constexpr std::size_t key_bytes = crypto_box_PUBLICKEYBYTES;
inline constexpr std::size_t mac_bytes = crypto_box_MACBYTES;
inline constexpr std::size_t counter_bytes = 8;      // of a short nonce
inline constexpr std::size_t long_nonce_bytes = 16;  // of WELCOME and the vouch
inline constexpr std::size_t cookie_bytes = 96;

inline constexpr std::string_view hello_name = "\x05HELLO";
inline constexpr std::string_view welcome_name = "\x07WELCOME";
inline constexpr std::string_view initiate_name = "\x08INITIATE";
inline constexpr std::string_view ready_name = "\x05READY";
inline constexpr std::string_view message_name = "\x07MESSAGE";

inline constexpr std::size_t hello_padding = 72;
inline constexpr std::size_t hello_proof = 64;  // zeros, boxed
inline constexpr std::size_t hello_bytes =
    hello_name.size() + 2 + hello_padding + key_bytes + counter_bytes + hello_proof + mac_bytes;
inline constexpr std::size_t welcome_bytes =
    welcome_name.size() + long_nonce_bytes + key_bytes + cookie_bytes + mac_bytes;
inline constexpr std::size_t vouch_bytes = 2 * key_bytes;

inline const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
inline unsigned char* raw(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}
inline std::string_view text(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A nonce of 24 bytes: what it is for, then what makes it unique.
inline std::array<unsigned char, crypto_box_NONCEBYTES> nonce_of(std::string_view purpose,
                                                                 std::string_view unique) {
  assert(purpose.size() + unique.size() == crypto_box_NONCEBYTES);
  std::array<unsigned char, crypto_box_NONCEBYTES> nonce;
  std::ranges::copy(unique, std::ranges::copy(purpose, nonce.begin()).out);
  return nonce;
}

// `z85` must be a key (access::is_key).
CurveKey decode_key(std::string_view z85);
// Of libsodium.
CurveRandom system_random();

}  // namespace canopy::zmtp::curve
