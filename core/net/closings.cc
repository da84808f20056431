#include "core/net/closings.h"

namespace canopy::net {
namespace {

// Of a handshake that failed.
std::string refusal(std::string_view reason) {
  if (reason == zmtp::name(zmtp::Fault::mechanism)) return "no_key";
  if (reason == zmtp::name(zmtp::Fault::unknown_key) ||
      reason == zmtp::name(zmtp::Fault::wrong_server_key)) {
    return std::string(reason);
  }
  return "incomplete";
}

}  // namespace

Closing classify(std::string_view reason, bool ready) {
  if (!ready) return {.closed = "handshake", .refused = refusal(reason)};
  const bool left = reason == "peer" || reason == "error";
  return {.closed = left ? std::string() : std::string(reason)};
}

void Closings::add(std::string_view listener, const Connection& connection,
                   std::string_view reason) {
  const Closing closing = classify(reason, connection.ready());
  if (closing.closed.empty()) return;
  count_(closing);
  log_.warn("net", "connection closed",
            {{"listener", listener},
             {"reason", closing.closed},
             {"detail", reason},
             {"address", connection.peer()}});
}

}  // namespace canopy::net
