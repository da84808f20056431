// The subtrees that were split off a partition: their split entries, as part of its state. Pure;
// not thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/keyspace/update.h"

namespace canopy::keyspace {

class Splits {
 public:
  // Nothing changes when the subtree, or one around it, has been split off before.
  void add(const UpdatePtr& split);
  // Takes out the splits below `subtree`, which is split off itself.
  Splits extract(std::string_view subtree);

  // Whether the key, or the subtree, belongs to a subtree that was split off.
  bool cover(std::string_view key) const;
  bool empty() const { return by_subtree_.empty(); }
  // The revision of the latest one; 0: there is none.
  Revision newest() const;
  // In the order of their subtrees.
  std::vector<UpdatePtr> list() const;

 private:
  std::map<std::string, UpdatePtr, std::less<>> by_subtree_;
};

}  // namespace canopy::keyspace
