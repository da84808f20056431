#include "core/keyspace/tombstones.h"

#include <cassert>

namespace canopy::keyspace {

Tombstones::Tombstones(std::size_t max_deletions) : max_deletions_(max_deletions) {
  assert(max_deletions > 0);
}

void Tombstones::reset(Revision floor) {
  blocks_.clear();
  first_ = end_ = 0;
  floor_ = floor;
}

void Tombstones::add(UpdatePtr deletion) {
  assert(deletion->deleted && deletion->revision > floor_);
  assert(size() == 0 || deletion->revision > at(end_ - 1)->revision);
  if (end_ == blocks_.size() * block_size) {
    blocks_.push_back(std::make_shared<Block>());
    blocks_.back()->reserve(block_size);  // so that no walk sees its entries move
  }
  blocks_.back()->push_back(std::move(deletion));
  ++end_;
  if (size() <= max_deletions_) return;
  floor_ = at(first_)->revision;
  if (++first_ < block_size) return;
  blocks_.pop_front();
  first_ -= block_size;
  end_ -= block_size;
}

Tombstones Tombstones::extract(std::string_view prefix) {
  Tombstones taken(max_deletions_);
  Tombstones left(max_deletions_);
  taken.reset(floor_);
  left.reset(floor_);
  for (const UpdatePtr& deletion : after(floor_)) {
    (deletion->key.starts_with(prefix) ? taken : left).add(deletion);
  }
  *this = std::move(left);
  return taken;
}

Tombstones::Deletions Tombstones::after(Revision revision) const {
  std::size_t from = first_;
  for (std::size_t to = end_; from < to;) {
    const std::size_t middle = from + (to - from) / 2;
    if (at(middle)->revision > revision) {
      to = middle;
    } else {
      from = middle + 1;
    }
  }
  Deletions walk;
  if (from == end_) return walk;
  const std::size_t skipped = from / block_size;
  walk.blocks_.assign(blocks_.begin() + static_cast<std::ptrdiff_t>(skipped), blocks_.end());
  walk.next_ = from - skipped * block_size;
  walk.end_ = end_ - skipped * block_size;
  return walk;
}

}  // namespace canopy::keyspace
