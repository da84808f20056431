// The server side of CURVE (RFC 26, as ZMTP carries it by RFC 25), with libsodium. Pure: bytes in,
// bytes out; randomness is injected. Not thread-safe.
//
//   client                          server
//     HELLO     C', proof of S ────▶
//               ◀──── S', cookie      WELCOME
//     INITIATE  cookie, C, vouch,     (the vouch proves that the holder of C made C')
//               metadata       ────▶
//               ◀──── metadata        READY
//     MESSAGE                  ◀──▶   MESSAGE: one ZMTP frame each, flags included
//
// Nonces of each direction grow strictly; what repeats one is refused.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/access/keys.h"
#include "core/zmtp/protocol.h"

namespace canopy::zmtp {

using CurveKey = std::array<unsigned char, 32>;

// What all connections of a listener share. Outlives them.
struct CurveServer {
  // The name of the client that holds this public key (Z85); nothing: it is not known.
  using Authorize = std::function<std::optional<std::string>(std::string_view public_key)>;
  using Random = std::function<void(std::span<unsigned char> bytes)>;

  CurveKey public_key{};
  CurveKey secret_key{};
  Authorize authorize{};
  Random random{};  // fills with unpredictable bytes

  // With libsodium's randomness. The keys must be keys (access::is_key).
  static CurveServer of(const access::KeyPair& keys, Authorize authorize);
};

class CurveSession {
 public:
  explicit CurveSession(const CurveServer& server) : server_(&server) {}

  // The answers are bodies of command frames.
  Fault on_hello(std::string_view body, std::string& welcome);
  // `metadata` is the client's, to be answered with ready().
  Fault on_initiate(std::string_view body, std::string& metadata);
  std::string ready(std::string_view metadata);
  // The name that the server has for the client's key.
  const std::string& user() const { return user_; }

  // The body of a MESSAGE frame, to the flags and body of the frame that it carries.
  struct Opened {
    std::uint8_t flags = 0;  // CURVE's own: 1 more · 2 command
    std::string body{};
  };
  Fault open(std::string_view message, Opened& opened);
  // A whole MESSAGE, ready for a frame.
  std::string seal(std::uint8_t flags, std::string_view body);

 private:
  using Nonce = std::array<unsigned char, 24>;
  bool take_nonce(std::string_view bytes);
  std::string next_nonce();

  const CurveServer* server_;
  CurveKey client_transient_{};  // C'
  CurveKey transient_secret_{};  // s'
  CurveKey shared_{};            // of C' and s'
  std::string cookie_{};
  std::string user_{};
  std::uint64_t received_nonce_ = 0;
  std::uint64_t sent_nonce_ = 0;
};

inline constexpr std::uint8_t curve_flag_more = 1;
inline constexpr std::uint8_t curve_flag_command = 2;

}  // namespace canopy::zmtp
