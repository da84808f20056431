// The server side of CURVE's handshake (curve.h). Pure; randomness is injected. Not thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/zmtp/curve.h"

namespace canopy::zmtp {

// What all connections of a listener share. Outlives them.
struct CurveServer {
  // The name of the client that holds this public key (Z85); nothing: it is not known.
  using Authorize = std::function<std::optional<std::string>(std::string_view public_key)>;

  CurveKey public_key{};
  CurveKey secret_key{};
  Authorize authorize{};
  CurveRandom random{};

  // With libsodium's randomness. The keys must be keys (access::is_key).
  static CurveServer of(const access::KeyPair& keys, Authorize authorize);
};

class CurveServerSession final : public CurveSession {
 public:
  explicit CurveServerSession(const CurveServer& server)
      : CurveSession(Side::server), server_(&server) {}

  // The answers are bodies of command frames.
  Fault on_hello(std::string_view body, std::string& welcome);
  // `metadata` is the client's, to be answered with ready().
  Fault on_initiate(std::string_view body, std::string& metadata);
  std::string ready(std::string_view metadata);
  // The name that the server has for the client's key.
  const std::string& user() const { return user_; }

 private:
  const CurveServer* server_;
  CurveKey client_transient_{};  // C'
  std::string cookie_{};
  std::string user_{};
};

}  // namespace canopy::zmtp
