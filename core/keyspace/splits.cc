#include "core/keyspace/splits.h"

#include <algorithm>
#include <iterator>

namespace canopy::keyspace {

void Splits::add(const UpdatePtr& split) {
  if (!cover(split->key)) by_subtree_.emplace(split->key, split);
}

Splits Splits::extract(std::string_view subtree) {
  Splits taken;
  auto at = by_subtree_.lower_bound(subtree);
  while (at != by_subtree_.end() && at->first.starts_with(subtree)) {
    taken.by_subtree_.insert(by_subtree_.extract(at++));
  }
  return taken;
}

// None of them is a prefix of another: the last one that is not behind the key decides.
bool Splits::cover(std::string_view key) const {
  const auto above = by_subtree_.upper_bound(key);
  return above != by_subtree_.begin() && key.starts_with(std::prev(above)->first);
}

Revision Splits::newest() const {
  Revision newest;
  for (const auto& [subtree, split] : by_subtree_) newest = std::max(newest, split->revision);
  return newest;
}

std::vector<UpdatePtr> Splits::list() const {
  std::vector<UpdatePtr> all;
  for (const auto& [subtree, split] : by_subtree_) all.push_back(split);
  return all;
}

}  // namespace canopy::keyspace
