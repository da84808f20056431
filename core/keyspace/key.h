// What a key, a subtree and a prefix may be. Pure.
//
// A key is a path such as `/results/eu/42`: 1-255 bytes, no control characters, none of the
// protocol's own words. A subtree is a prefix that ends with `/`, or the root: the empty prefix,
// written `*` in files. Clone clients may ask for any prefix.
#pragma once

#include <string>
#include <string_view>

#include "core/base/limits.h"

namespace canopy::keyspace {

// Why a key or prefix is refused; each value is a `reason` label of canopy_rejected_total.
enum class KeyFault {
  none,
  empty,
  too_long,
  control_character,
  reserved_word,
};

KeyFault check_key(std::string_view key);
// A prefix may be empty.
KeyFault check_prefix(std::string_view prefix, std::size_t max_bytes = base::max_key_bytes);
// Empty, or ends with '/', and is a valid prefix.
bool is_subtree(std::string_view text);

// Whether the subtree is one below `within`, and not `within` itself.
inline bool is_below(std::string_view subtree, std::string_view within) {
  return subtree.size() > within.size() && subtree.starts_with(within);
}

// The label, such as "key_too_long".
std::string_view to_reason(KeyFault fault);

// A subtree as people write it: the root is `*`.
inline std::string shown(const std::string& subtree) { return subtree.empty() ? "*" : subtree; }

}  // namespace canopy::keyspace
