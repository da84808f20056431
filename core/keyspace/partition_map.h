// Which partition owns a key: the longest partition that is its prefix. Pure; cheap to copy.
// Not thread-safe while being filled.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace canopy::keyspace {

class PartitionMap {
 public:
  using Index = std::size_t;

  // Partitions are numbered in the order they are added. The subtree must be one (is_subtree) and
  // not yet present.
  Index add(std::string subtree);

  // The owner of a key, or of the part of the key space under a prefix that no deeper partition
  // owns. size() when nothing does: the root is not among the partitions.
  Index owner(std::string_view key) const;
  // Every partition that may hold keys starting with `prefix`: the owner of `prefix` first, the
  // deeper ones in the order they were added.
  std::vector<Index> covering(std::string_view prefix) const;

  // The index of a partition; size() when there is none of this subtree.
  Index find(std::string_view subtree) const;

  std::size_t size() const { return subtrees_.size(); }
  const std::string& subtree(Index index) const { return subtrees_[index]; }

 private:
  std::deque<std::string> subtrees_;  // whose elements do not move
  std::map<std::string, Index, std::less<>> by_subtree_;
};

}  // namespace canopy::keyspace
