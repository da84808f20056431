#include "core/keyspace/key.h"
#include "core/wire/native.h"

namespace canopy::wire::native {

bool is_watchable(std::string_view subtree) {
  return keyspace::is_subtree(subtree) || keyspace::check_key(subtree) == keyspace::KeyFault::none;
}

bool covers(std::string_view subtree, std::string_view key) {
  const bool is_key = !subtree.empty() && subtree.back() != '/';
  return is_key ? key == subtree : key.starts_with(subtree);
}

}  // namespace canopy::wire::native
