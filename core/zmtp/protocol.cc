#include "core/zmtp/protocol.h"

#include <algorithm>
#include <array>
#include <utility>

namespace canopy::zmtp {
namespace {

constexpr std::array<std::string_view, 11> type_names = {
    "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"};

}  // namespace

std::string_view name(SocketType type) { return type_names[static_cast<std::size_t>(type)]; }

std::optional<SocketType> parse_socket_type(std::string_view text) {
  const auto found = std::ranges::find(type_names, text);
  if (found == type_names.end()) return std::nullopt;
  return static_cast<SocketType>(found - type_names.begin());
}

bool compatible(SocketType ours, SocketType theirs) {
  using enum SocketType;
  switch (ours) {
    case pair: return theirs == pair;
    case pub:
    case xpub: return theirs == sub || theirs == xsub;
    case sub:
    case xsub: return theirs == pub || theirs == xpub;
    case req: return theirs == rep || theirs == router;
    case rep: return theirs == req || theirs == dealer;
    case dealer: return theirs == rep || theirs == dealer || theirs == router;
    case router: return theirs == req || theirs == dealer || theirs == router;
    case pull: return theirs == push;
    case push: return theirs == pull;
  }
  return false;
}

std::string_view name(Fault fault) {
  switch (fault) {
    case Fault::none: return "none";
    case Fault::not_zmtp: return "not_zmtp";
    case Fault::version_1: return "version_1";
    case Fault::mechanism: return "mechanism";
    case Fault::wrong_server_key: return "wrong_server_key";
    case Fault::cryptographic: return "cryptographic";
    case Fault::unknown_key: return "unknown_key";
    case Fault::handshake: return "handshake";
    case Fault::incompatible: return "incompatible";
    case Fault::refused: return "refused";
    case Fault::malformed: return "malformed";
    case Fault::frame_too_large: return "frame_too_large";
    case Fault::message_too_large: return "message_too_large";
    case Fault::too_many_parts: return "too_many_parts";
  }
  return "none";
}

}  // namespace canopy::zmtp
