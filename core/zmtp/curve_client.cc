#include "core/zmtp/curve_client.h"

#include "core/zmtp/curve_box.h"

namespace canopy::zmtp {

using namespace curve;

CurveClient CurveClient::of(std::string_view server_key, const access::KeyPair& own) {
  return {.server_key = curve::decode_key(server_key),
          .public_key = curve::decode_key(own.public_key),
          .secret_key = curve::decode_key(own.secret_key),
          .random = system_random()};
}

Fault CurveClientSession::hello(std::string& hello) {
  transient_public_ = make_transient(client_->random);
  const std::string counter = next_nonce();
  const std::string zeros(hello_proof, '\0');
  std::string proof(hello_proof + mac_bytes, '\0');
  if (crypto_box_easy(raw(proof), raw(zeros), zeros.size(),
                      nonce_of("CurveZMQHELLO---", counter).data(), client_->server_key.data(),
                      transient_secret_.data()) != 0) {
    return Fault::cryptographic;  // the server's key is none
  }
  hello = hello_name;
  hello += {'\1', '\0'};  // version 1.0 of CurveZMQ
  hello.append(hello_padding, '\0');
  hello.append(text(transient_public_)).append(counter).append(proof);
  return Fault::none;
}

Fault CurveClientSession::on_welcome(std::string_view body, std::string_view metadata,
                                     std::string& initiate) {
  if (body.size() != welcome_bytes || !body.starts_with(welcome_name)) return Fault::handshake;
  body.remove_prefix(welcome_name.size());
  const std::string_view box = body.substr(long_nonce_bytes);
  std::string plain(box.size() - mac_bytes, '\0');
  if (crypto_box_open_easy(raw(plain), raw(box), box.size(),
                           nonce_of("WELCOME-", body.substr(0, long_nonce_bytes)).data(),
                           client_->server_key.data(), transient_secret_.data()) != 0) {
    return Fault::cryptographic;
  }
  CurveKey server_transient{};
  std::ranges::copy(plain.substr(0, key_bytes), server_transient.begin());
  const std::string cookie = plain.substr(key_bytes);
  if (!share(server_transient)) return Fault::cryptographic;

  std::string unique(long_nonce_bytes, '\0');
  client_->random({raw(unique), unique.size()});
  const std::string vouched =
      std::string(text(transient_public_)).append(text(client_->server_key));
  std::string vouch(vouch_bytes + mac_bytes, '\0');
  if (crypto_box_easy(raw(vouch), raw(vouched), vouched.size(), nonce_of("VOUCH---", unique).data(),
                      server_transient.data(), client_->secret_key.data()) != 0) {
    return Fault::cryptographic;
  }
  const std::string counter = next_nonce();
  std::string fields(text(client_->public_key));
  fields.append(unique).append(vouch).append(metadata);
  initiate =
      std::string(initiate_name) + cookie + counter + seal_box("CurveZMQINITIATE", counter, fields);
  return Fault::none;
}

Fault CurveClientSession::on_ready(std::string_view body, std::string& metadata) {
  constexpr std::size_t least = ready_name.size() + counter_bytes + mac_bytes;
  if (body.size() < least || !body.starts_with(ready_name)) return Fault::handshake;
  const std::string_view counter = body.substr(ready_name.size(), counter_bytes);
  const std::string_view box = body.substr(ready_name.size() + counter_bytes);
  if (!open_box("CurveZMQREADY---", counter, box, metadata) || !take_nonce(counter)) {
    return Fault::cryptographic;
  }
  return Fault::none;
}

}  // namespace canopy::zmtp
