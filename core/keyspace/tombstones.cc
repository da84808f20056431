#include "core/keyspace/tombstones.h"

#include <algorithm>
#include <cassert>

namespace canopy::keyspace {

Tombstones::Tombstones(std::size_t max_deletions) : max_deletions_(max_deletions) {
  assert(max_deletions > 0);
}

void Tombstones::reset(Revision floor) {
  deletions_.clear();
  floor_ = floor;
}

void Tombstones::add(UpdatePtr deletion) {
  assert(deletion->deleted && deletion->revision > floor_);
  assert(deletions_.empty() || deletion->revision > deletions_.back()->revision);
  deletions_.push_back(std::move(deletion));
  if (deletions_.size() <= max_deletions_) return;
  floor_ = deletions_.front()->revision;
  deletions_.pop_front();
}

Tombstones::Deletions Tombstones::after(Revision revision) const {
  const auto later = [](Revision known, const UpdatePtr& deletion) {
    return known < deletion->revision;
  };
  return {std::upper_bound(deletions_.begin(), deletions_.end(), revision, later),
          deletions_.end()};
}

}  // namespace canopy::keyspace
