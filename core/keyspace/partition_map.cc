#include "core/keyspace/partition_map.h"

#include <cassert>

#include "core/keyspace/key.h"

namespace canopy::keyspace {

PartitionMap::Index PartitionMap::add(std::string subtree) {
  assert(is_subtree(subtree));
  const Index index = subtrees_.size();
  [[maybe_unused]] const bool added = by_subtree_.emplace(subtree, index).second;
  assert(added);
  subtrees_.push_back(std::move(subtree));
  return index;
}

// One look-up per path segment, deepest first.
PartitionMap::Index PartitionMap::owner(std::string_view key) const {
  for (std::size_t end = key.size(); end > 0; --end) {
    if (key[end - 1] != '/') continue;
    if (const auto found = by_subtree_.find(key.substr(0, end)); found != by_subtree_.end()) {
      return found->second;
    }
  }
  const auto root = by_subtree_.find(std::string_view());
  return root == by_subtree_.end() ? size() : root->second;
}

PartitionMap::Index PartitionMap::find(std::string_view subtree) const {
  const auto found = by_subtree_.find(subtree);
  return found == by_subtree_.end() ? size() : found->second;
}

std::vector<PartitionMap::Index> PartitionMap::covering(std::string_view prefix) const {
  const Index own = owner(prefix);
  std::vector<Index> result;
  if (own != size()) result.push_back(own);
  for (Index index = 0; index < subtrees_.size(); ++index) {
    if (index != own && subtrees_[index].starts_with(prefix)) result.push_back(index);
  }
  return result;
}

}  // namespace canopy::keyspace
