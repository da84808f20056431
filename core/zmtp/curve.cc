#include "core/zmtp/curve.h"

#include <sodium.h>

#include <algorithm>
#include <cassert>

namespace canopy::zmtp {
namespace {

constexpr std::size_t key_bytes = crypto_box_PUBLICKEYBYTES;
constexpr std::size_t mac_bytes = crypto_box_MACBYTES;
constexpr std::size_t counter_bytes = 8;      // of a short nonce
constexpr std::size_t long_nonce_bytes = 16;  // of WELCOME and the vouch
constexpr std::size_t cookie_bytes = 96;

constexpr std::string_view hello_name = "\x05HELLO";
constexpr std::string_view initiate_name = "\x08INITIATE";
constexpr std::string_view message_name = "\x07MESSAGE";

constexpr std::size_t hello_padding = 72;
constexpr std::size_t hello_proof = 64;  // zeros, boxed
constexpr std::size_t hello_bytes =
    hello_name.size() + 2 + hello_padding + key_bytes + counter_bytes + hello_proof + mac_bytes;
constexpr std::size_t vouch_bytes = 2 * key_bytes;

const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
std::string_view text(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A nonce of 24 bytes: what it is for, then what makes it unique.
std::array<unsigned char, crypto_box_NONCEBYTES> nonce_of(std::string_view purpose,
                                                          std::string_view unique) {
  assert(purpose.size() + unique.size() == crypto_box_NONCEBYTES);
  std::array<unsigned char, crypto_box_NONCEBYTES> nonce;
  std::ranges::copy(unique, std::ranges::copy(purpose, nonce.begin()).out);
  return nonce;
}

CurveKey decode_key(std::string_view z85) {
  CurveKey key{};
  const auto decoded = access::decode_key(z85);
  assert(decoded);
  std::ranges::copy(*decoded, key.begin());
  return key;
}

}  // namespace

CurveServer CurveServer::of(const access::KeyPair& keys, Authorize authorize) {
  if (sodium_init() < 0) std::abort();  // no source of randomness: nothing would be secret
  return {.public_key = decode_key(keys.public_key),
          .secret_key = decode_key(keys.secret_key),
          .authorize = std::move(authorize),
          .random = [](std::span<unsigned char> bytes) {
            randombytes_buf(bytes.data(), bytes.size());
          }};
}

bool CurveSession::take_nonce(std::string_view bytes) {
  std::uint64_t nonce = 0;
  for (const char byte : bytes) nonce = nonce << 8 | static_cast<std::uint8_t>(byte);
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

Fault CurveSession::on_hello(std::string_view body, std::string& welcome) {
  if (body.size() != hello_bytes || !body.starts_with(hello_name)) return Fault::handshake;
  body.remove_prefix(hello_name.size());
  if (body[0] != 1 || body[1] != 0) return Fault::handshake;  // version 1.0 of CurveZMQ
  body.remove_prefix(2 + hello_padding);
  std::ranges::copy(body.substr(0, key_bytes), client_transient_.begin());
  const std::string_view counter = body.substr(key_bytes, counter_bytes);
  const std::string_view box = body.substr(key_bytes + counter_bytes);
  const auto nonce = nonce_of("CurveZMQHELLO---", counter);
  std::string proof(hello_proof, '\0');
  if (crypto_box_open_easy(raw(proof), raw(box), box.size(), nonce.data(), client_transient_.data(),
                           server_->secret_key.data()) != 0) {
    return Fault::wrong_server_key;
  }
  if (!take_nonce(counter)) return Fault::cryptographic;

  CurveKey seed{};
  server_->random(seed);
  CurveKey transient_public{};
  crypto_box_seed_keypair(transient_public.data(), transient_secret_.data(), seed.data());
  sodium_memzero(seed.data(), seed.size());
  if (crypto_box_beforenm(shared_.data(), client_transient_.data(), transient_secret_.data()) !=
      0) {
    return Fault::cryptographic;
  }
  // The client returns the cookie as it is. This side remembers its state, so random bytes do.
  cookie_.resize(cookie_bytes);
  server_->random({raw(cookie_), cookie_.size()});
  std::string unique(long_nonce_bytes, '\0');
  server_->random({raw(unique), unique.size()});
  const std::string plain = std::string(text(transient_public)) + cookie_;
  std::string sealed(plain.size() + mac_bytes, '\0');
  if (crypto_box_easy(raw(sealed), raw(plain), plain.size(), nonce_of("WELCOME-", unique).data(),
                      client_transient_.data(), server_->secret_key.data()) != 0) {
    return Fault::cryptographic;
  }
  welcome = "\x07WELCOME" + unique + sealed;
  return Fault::none;
}

Fault CurveSession::on_initiate(std::string_view body, std::string& metadata) {
  constexpr std::size_t least_plain = key_bytes + long_nonce_bytes + vouch_bytes + mac_bytes;
  constexpr std::size_t least =
      initiate_name.size() + cookie_bytes + counter_bytes + least_plain + mac_bytes;
  if (body.size() < least || !body.starts_with(initiate_name)) return Fault::handshake;
  body.remove_prefix(initiate_name.size());
  if (body.substr(0, cookie_bytes) != cookie_) return Fault::cryptographic;
  const std::string_view counter = body.substr(cookie_bytes, counter_bytes);
  const std::string_view box = body.substr(cookie_bytes + counter_bytes);
  std::string plain(box.size() - mac_bytes, '\0');
  if (crypto_box_open_easy_afternm(raw(plain), raw(box), box.size(),
                                   nonce_of("CurveZMQINITIATE", counter).data(),
                                   shared_.data()) != 0 ||
      !take_nonce(counter)) {
    return Fault::cryptographic;
  }
  const std::string_view fields = plain;
  const std::string_view client = fields.substr(0, key_bytes);
  const std::string_view unique = fields.substr(key_bytes, long_nonce_bytes);
  const std::string_view vouch =
      fields.substr(key_bytes + long_nonce_bytes, vouch_bytes + mac_bytes);
  std::string vouched(vouch_bytes, '\0');
  if (crypto_box_open_easy(raw(vouched), raw(vouch), vouch.size(),
                           nonce_of("VOUCH---", unique).data(), raw(client),
                           transient_secret_.data()) != 0 ||
      vouched != std::string(text(client_transient_)).append(text(server_->public_key))) {
    return Fault::cryptographic;
  }
  auto user = server_->authorize(access::encode_key(client));
  if (!user) return Fault::unknown_key;
  user_ = std::move(*user);
  metadata = fields.substr(least_plain);
  return Fault::none;
}

std::string CurveSession::ready(std::string_view metadata) {
  const std::string counter = next_nonce();
  std::string sealed(metadata.size() + mac_bytes, '\0');
  crypto_box_easy_afternm(raw(sealed), raw(metadata), metadata.size(),
                          nonce_of("CurveZMQREADY---", counter).data(), shared_.data());
  return "\x05READY" + counter + sealed;
}

Fault CurveSession::open(std::string_view message, Opened& opened) {
  constexpr std::size_t least = message_name.size() + counter_bytes + 1 + mac_bytes;
  if (message.size() < least || !message.starts_with(message_name)) return Fault::malformed;
  const std::string_view counter = message.substr(message_name.size(), counter_bytes);
  const std::string_view box = message.substr(message_name.size() + counter_bytes);
  std::string& plain = opened.body;
  plain.resize(box.size() - mac_bytes);
  if (crypto_box_open_easy_afternm(raw(plain), raw(box), box.size(),
                                   nonce_of("CurveZMQMESSAGEC", counter).data(),
                                   shared_.data()) != 0 ||
      !take_nonce(counter)) {
    return Fault::cryptographic;
  }
  opened.flags = static_cast<std::uint8_t>(plain.front());
  plain.erase(0, 1);
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
                          nonce_of("CurveZMQMESSAGES", counter).data(), shared_.data());
  return message;
}

}  // namespace canopy::zmtp
