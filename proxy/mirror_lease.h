// What keeps mirrors alive: a lease for each subscription or request that needs them. A mirror
// lives while a lease holds it, and `mirror_keep_ms` after the last one has ended. Pure: time is an
// argument. Not thread-safe. The table outlives its leases.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "core/base/clock.h"

namespace canopy::proxy {

class MirrorLeases;

// Holds the mirrors of some partitions until it is destroyed. An empty one holds none.
class MirrorLease {
 public:
  MirrorLease() = default;
  MirrorLease(MirrorLease&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), partitions_(std::move(other.partitions_)) {}
  MirrorLease& operator=(MirrorLease other) noexcept {
    std::swap(table_, other.table_);
    std::swap(partitions_, other.partitions_);
    return *this;
  }
  ~MirrorLease();

  explicit operator bool() const { return table_ != nullptr; }

 private:
  friend class MirrorLeases;
  MirrorLease(MirrorLeases& table, std::vector<std::size_t> partitions)
      : table_(&table), partitions_(std::move(partitions)) {}

  MirrorLeases* table_ = nullptr;
  std::vector<std::size_t> partitions_{};
};

// The leases of all partitions, by their index.
class MirrorLeases {
 public:
  MirrorLease hold(std::vector<std::size_t> partitions) {
    for (const std::size_t partition : partitions) {
      if (partition >= uses_.size()) uses_.resize(partition + 1);
      ++uses_[partition].leases;
      uses_[partition].unused_since.reset();
    }
    return {*this, std::move(partitions)};
  }

  // Whether nothing has held the partition for as long as `keep`. Counts from the first call after
  // the last lease has ended: to be called a few times a second.
  bool expired(std::size_t partition, base::TimePoint now, base::Duration keep) {
    if (partition >= uses_.size()) return true;
    Use& use = uses_[partition];
    if (use.leases > 0) return false;
    if (!use.unused_since) use.unused_since = now;
    return now - *use.unused_since >= keep;
  }

 private:
  friend class MirrorLease;
  struct Use {
    std::size_t leases = 0;
    std::optional<base::TimePoint> unused_since{};
  };

  void release(const std::vector<std::size_t>& partitions) {
    for (const std::size_t partition : partitions) --uses_[partition].leases;
  }

  std::vector<Use> uses_{};
};

inline MirrorLease::~MirrorLease() {
  if (table_ != nullptr) table_->release(partitions_);
}

}  // namespace canopy::proxy
