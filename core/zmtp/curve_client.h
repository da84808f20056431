// The client side of CURVE's handshake (curve.h). Pure; randomness is injected. Not thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "core/zmtp/curve.h"

namespace canopy::zmtp {

// Which server is to be met, and as whom. Outlives its sessions.
struct CurveClient {
  CurveKey server_key{};  // S, public
  CurveKey public_key{};  // C
  CurveKey secret_key{};
  CurveRandom random{};

  // With libsodium's randomness. The keys must be keys (access::is_key).
  static CurveClient of(std::string_view server_key, const access::KeyPair& own);
};

class CurveClientSession final : public CurveSession {
 public:
  explicit CurveClientSession(const CurveClient& client)
      : CurveSession(Side::client), client_(&client) {}

  // The answers are bodies of command frames.
  Fault hello(std::string& hello);
  // `metadata` is ours.
  Fault on_welcome(std::string_view body, std::string_view metadata, std::string& initiate);
  // `metadata` is the server's.
  Fault on_ready(std::string_view body, std::string& metadata);

 private:
  const CurveClient* client_;
  CurveKey transient_public_{};  // C'
};

}  // namespace canopy::zmtp
