// The recent deletions of a partition: which keys are gone since a revision. Bounded by count.
// Pure; not thread-safe.
//
// A key may have been deleted several times, and put again since. A caller that forwards deletions
// must leave out the keys that exist.
//
// Walks share the blocks of deletions. A walk starts in constant time, may pause, and sees the
// deletions as of its start.
#pragma once

#include <cstddef>
#include <deque>
#include <iterator>
#include <memory>
#include <string_view>
#include <vector>

#include "core/keyspace/update.h"

namespace canopy::keyspace {

class Tombstones {
  using Block = std::vector<UpdatePtr>;
  static constexpr std::size_t block_size = 1024;

 public:
  // A walk in ascending order of revisions. May outlive the tombstones.
  class Deletions {
   public:
    bool done() const { return next_ == end_; }
    bool empty() const { return done(); }
    const UpdatePtr& operator*() const {
      return (*blocks_[next_ / block_size])[next_ % block_size];
    }
    void next() { ++next_; }

    // For `for`.
    Deletions& operator++() {
      next();
      return *this;
    }
    friend bool operator==(const Deletions& walk, std::default_sentinel_t) { return walk.done(); }
    Deletions begin() const { return *this; }
    static std::default_sentinel_t end() { return {}; }

   private:
    friend class Tombstones;
    std::vector<std::shared_ptr<const Block>> blocks_{};
    std::size_t next_ = 0;  // counted from the beginning of the first block
    std::size_t end_ = 0;
  };

  explicit Tombstones(std::size_t max_deletions = 100'000);

  // Forgets all; knows every deletion that comes after `floor`.
  void reset(Revision floor);
  // In ascending order of revisions, each after the floor. Forgets the oldest beyond the bound.
  void add(UpdatePtr deletion);

  // Takes out the deletions of keys that start with `prefix`; both have the same floor.
  Tombstones extract(std::string_view prefix);

  // Every deletion after it is known, unless its key was put again.
  Revision floor() const { return floor_; }
  // The deletions after `revision`, as of now.
  Deletions after(Revision revision) const;
  std::size_t size() const { return end_ - first_; }

 private:
  const UpdatePtr& at(std::size_t index) const {
    return (*blocks_[index / block_size])[index % block_size];
  }

  std::deque<std::shared_ptr<Block>> blocks_;
  std::size_t first_ = 0;  // both counted from the beginning of the first block
  std::size_t end_ = 0;
  Revision floor_{};
  std::size_t max_deletions_;
};

}  // namespace canopy::keyspace
