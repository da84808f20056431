// CURVE (RFC 26, as ZMTP carries it by RFC 25), with libsodium: what both sides share once their
// handshake is over. Pure: bytes in, bytes out. Not thread-safe.
//
//   client (curve_client.h)         server (curve_server.h)
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
#include <span>
#include <string>
#include <string_view>

#include "core/access/keys.h"
#include "core/zmtp/protocol.h"

namespace canopy::zmtp {

using CurveKey = std::array<unsigned char, 32>;
// Fills with unpredictable bytes.
using CurveRandom = std::function<void(std::span<unsigned char> bytes)>;

inline constexpr std::uint8_t curve_flag_more = 1;
inline constexpr std::uint8_t curve_flag_command = 2;

class CurveSession {
 public:
  // The body of a MESSAGE frame, to the flags and body of the frame that it carries.
  struct Opened {
    std::uint8_t flags = 0;  // CURVE's own: 1 more · 2 command
    std::string body{};
  };
  Fault open(std::string_view message, Opened& opened);
  // A whole MESSAGE, ready for a frame.
  std::string seal(std::uint8_t flags, std::string_view body);

 protected:
  enum class Side { client, server };

  explicit CurveSession(Side ours);
  ~CurveSession() = default;

  // A fresh pair of keys: keeps the secret one, and returns the public one.
  CurveKey make_transient(const CurveRandom& random);
  // Ends with the counter of a nonce that was not taken before.
  bool take_nonce(std::string_view counter);
  std::string next_nonce();
  bool share(const CurveKey& their_transient);
  // Of boxes between the transient keys; `purpose` and `counter` are their nonce.
  std::string seal_box(std::string_view purpose, std::string_view counter,
                       std::string_view plain) const;
  bool open_box(std::string_view purpose, std::string_view counter, std::string_view box,
                std::string& plain) const;

  CurveKey transient_secret_{};

 private:
  std::string_view sends_;  // purposes of nonces
  std::string_view receives_;
  CurveKey shared_{};  // of both transient keys
  std::uint64_t received_nonce_ = 0;
  std::uint64_t sent_nonce_ = 0;
};

}  // namespace canopy::zmtp
