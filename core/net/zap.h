// Decides who may connect to the CURVE sockets of a context: libzmq asks by ZAP 1.0 (RFC 27) for
// each handshake in which the peer has proven to hold a key.
//
// Belongs to its loop. Must exist before such a socket is bound; without, nobody is let in.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/net/loop.h"
#include "core/net/socket.h"

namespace canopy::net {

struct ZapRequest {
  std::string request_id{};
  std::string address{};     // of the peer
  std::string public_key{};  // 40 characters
};
// The frames behind the empty delimiter; nothing when they are not a request that CURVE makes.
std::optional<ZapRequest> parse_zap_request(std::span<const std::string_view> frames);

class ZapHandler {
 public:
  // The name to let the holder of this key in under; nothing to refuse him. Drains the monitors of
  // the context's listeners first, on which Monitor::carries() counts.
  using Decide = std::function<std::optional<std::string>(std::string_view public_key)>;
  // Called for each refusal.
  using Refused = std::function<void()>;

  ZapHandler(Context& context, Loop& loop, Decide decide, Refused refused);
  ~ZapHandler();
  ZapHandler(const ZapHandler&) = delete;
  ZapHandler& operator=(const ZapHandler&) = delete;

 private:
  void receive();
  void answer(const ZapRequest& request);
  void reply(std::string_view request_id, bool admitted, std::string_view name);
  void log_refusal(const ZapRequest& request);

  Context& context_;
  Loop& loop_;
  Decide decide_;
  Refused refused_;
  Socket socket_;
  Message message_;
  std::map<std::string, base::TimePoint> logged_;  // by key: when last
};

}  // namespace canopy::net
