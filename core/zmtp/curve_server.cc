#include "core/zmtp/curve_server.h"

#include "core/zmtp/curve_box.h"

namespace canopy::zmtp {

using namespace curve;

CurveServer CurveServer::of(const access::KeyPair& keys, Authorize authorize) {
  return {.public_key = curve::decode_key(keys.public_key),
          .secret_key = curve::decode_key(keys.secret_key),
          .authorize = std::move(authorize),
          .random = system_random()};
}

Fault CurveServerSession::on_hello(std::string_view body, std::string& welcome) {
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

  const CurveKey transient_public = make_transient(server_->random);
  if (!share(client_transient_)) return Fault::cryptographic;
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
  welcome = std::string(welcome_name) + unique + sealed;
  return Fault::none;
}

Fault CurveServerSession::on_initiate(std::string_view body, std::string& metadata) {
  constexpr std::size_t least_plain = key_bytes + long_nonce_bytes + vouch_bytes + mac_bytes;
  constexpr std::size_t least =
      initiate_name.size() + cookie_bytes + counter_bytes + least_plain + mac_bytes;
  if (body.size() < least || !body.starts_with(initiate_name)) return Fault::handshake;
  body.remove_prefix(initiate_name.size());
  if (body.substr(0, cookie_bytes) != cookie_) return Fault::cryptographic;
  const std::string_view counter = body.substr(cookie_bytes, counter_bytes);
  const std::string_view box = body.substr(cookie_bytes + counter_bytes);
  std::string plain;
  if (!open_box("CurveZMQINITIATE", counter, box, plain) || !take_nonce(counter)) {
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

std::string CurveServerSession::ready(std::string_view metadata) {
  const std::string counter = next_nonce();
  return std::string(ready_name) + counter + seal_box("CurveZMQREADY---", counter, metadata);
}

}  // namespace canopy::zmtp
