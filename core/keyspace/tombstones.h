// The recent deletions of a partition, by which it can be told what is gone since a revision.
// Bounded by count. Pure; not thread-safe.
//
// A key may have been deleted several times, and put again since: whoever tells the deletions on
// leaves out the keys that are there.
#pragma once

#include <cstddef>
#include <deque>

#include "core/keyspace/update.h"

namespace canopy::keyspace {

class Tombstones {
 public:
  using Iterator = std::deque<UpdatePtr>::const_iterator;
  struct Deletions {
    Iterator from;
    Iterator to;
    Iterator begin() const { return from; }
    Iterator end() const { return to; }
    bool empty() const { return from == to; }
  };

  explicit Tombstones(std::size_t max_deletions = 100'000);

  // Forgets all; knows every deletion that comes after `floor`.
  void reset(Revision floor);
  // In ascending order of revisions, each after the floor. Forgets the oldest beyond the bound.
  void add(UpdatePtr deletion);

  // Every deletion after it is known, unless its key was put again.
  Revision floor() const { return floor_; }
  // Those after `revision`, in ascending order; valid until the next change.
  Deletions after(Revision revision) const;
  std::size_t size() const { return deletions_.size(); }

 private:
  std::deque<UpdatePtr> deletions_;
  Revision floor_{};
  std::size_t max_deletions_;
};

}  // namespace canopy::keyspace
