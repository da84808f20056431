#include "core/keyspace/key.h"

#include <algorithm>

namespace canopy::keyspace {
namespace {

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

}  // namespace

KeyFault check_prefix(std::string_view prefix, std::size_t max_bytes) {
  if (prefix.size() > max_bytes) return KeyFault::too_long;
  if (std::ranges::any_of(prefix, is_control)) return KeyFault::control_character;
  return KeyFault::none;
}

KeyFault check_key(std::string_view key) {
  if (key.empty()) return KeyFault::empty;
  if (key == "HUGZ" || key == "KTHXBAI" || key == "ICANHAZ?") return KeyFault::reserved_word;
  return check_prefix(key);
}

bool is_subtree(std::string_view text) {
  return check_prefix(text) == KeyFault::none && (text.empty() || text.back() == '/');
}

std::string_view to_reason(KeyFault fault) {
  switch (fault) {
    case KeyFault::none: return "none";
    case KeyFault::empty: return "key_empty";
    case KeyFault::too_long: return "key_too_long";
    case KeyFault::control_character: return "key_control_character";
    case KeyFault::reserved_word: return "key_reserved";
  }
  return "none";
}

}  // namespace canopy::keyspace
