#include "core/zmtp/curve.h"

#include <cstdlib>

#include "core/zmtp/curve_box.h"

namespace canopy::zmtp {

using namespace curve;

CurveKey curve::decode_key(std::string_view z85) {
  CurveKey key{};
  const auto decoded = access::decode_key(z85);
  assert(decoded);
  std::ranges::copy(*decoded, key.begin());
  return key;
}

CurveRandom curve::system_random() {
  if (sodium_init() < 0) std::abort();  // no source of randomness: nothing would be secret
  return [](std::span<unsigned char> bytes) { randombytes_buf(bytes.data(), bytes.size()); };
}

CurveSession::CurveSession(Side ours)
    : sends_(ours == Side::client ? "CurveZMQMESSAGEC" : "CurveZMQMESSAGES"),
      receives_(ours == Side::client ? "CurveZMQMESSAGES" : "CurveZMQMESSAGEC") {}

CurveKey CurveSession::make_transient(const CurveRandom& random) {
  CurveKey seed{};
  random(seed);
  CurveKey transient_public{};
  crypto_box_seed_keypair(transient_public.data(), transient_secret_.data(), seed.data());
  sodium_memzero(seed.data(), seed.size());
  return transient_public;
}

bool CurveSession::share(const CurveKey& their_transient) {
  return crypto_box_beforenm(shared_.data(), their_transient.data(), transient_secret_.data()) == 0;
}

bool CurveSession::take_nonce(std::string_view counter) {
  std::uint64_t nonce = 0;
  for (const char byte : counter) nonce = nonce << 8 | static_cast<std::uint8_t>(byte);
  if (nonce <= received_nonce_) return false;
  received_nonce_ = nonce;
  return true;
}

std::string CurveSession::next_nonce() {
  ++sent_nonce_;
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(sent_nonce_ >> shift);
  return bytes;
}

std::string CurveSession::seal_box(std::string_view purpose, std::string_view counter,
                                   std::string_view plain) const {
  std::string sealed(plain.size() + mac_bytes, '\0');
  crypto_box_easy_afternm(raw(sealed), raw(plain), plain.size(), nonce_of(purpose, counter).data(),
                          shared_.data());
  return sealed;
}

bool CurveSession::open_box(std::string_view purpose, std::string_view counter,
                            std::string_view box, std::string& plain) const {
  plain.resize(box.size() - mac_bytes);
  return crypto_box_open_easy_afternm(raw(plain), raw(box), box.size(),
                                      nonce_of(purpose, counter).data(), shared_.data()) == 0;
}

Fault CurveSession::open(std::string_view message, Opened& opened) {
  constexpr std::size_t least = message_name.size() + counter_bytes + 1 + mac_bytes;
  if (message.size() < least || !message.starts_with(message_name)) return Fault::malformed;
  const std::string_view counter = message.substr(message_name.size(), counter_bytes);
  const std::string_view box = message.substr(message_name.size() + counter_bytes);
  if (!open_box(receives_, counter, box, opened.body) || !take_nonce(counter)) {
    return Fault::cryptographic;
  }
  opened.flags = static_cast<std::uint8_t>(opened.body.front());
  opened.body.erase(0, 1);
  return Fault::none;
}

std::string CurveSession::seal(std::uint8_t flags, std::string_view body) {
  const std::string counter = next_nonce();
  std::string plain(1, static_cast<char>(flags));
  plain += body;
  std::string message(message_name);
  message += counter;
  const std::size_t prefix = message.size();
  message.resize(prefix + plain.size() + mac_bytes);
  crypto_box_easy_afternm(raw(message) + prefix, raw(plain), plain.size(),
                          nonce_of(sends_, counter).data(), shared_.data());
  return message;
}

}  // namespace canopy::zmtp
