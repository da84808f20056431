// What keeps mirrors alive: a lease for each subscription or request that needs them. A mirror
// lives while a lease holds it, and `mirror_keep_ms` after the last one has ended. Pure: time is an
// argument. Not thread-safe. The table outlives its leases.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/clock.h"

namespace canopy::proxy {

// Holds the mirrors of some partitions until it is destroyed. An empty one holds none.
using MirrorLease = std::shared_ptr<const std::vector<std::size_t>>;

// The leases of all partitions, by their index.
class MirrorLeases {
 public:
  MirrorLease hold(std::vector<std::size_t> partitions) {
    for (const std::size_t partition : partitions) {
      if (partition >= uses_.size()) uses_.resize(partition + 1);
      ++uses_[partition].leases;
      uses_[partition].unused_since.reset();
    }
    return {new std::vector(std::move(partitions)), [this](const std::vector<std::size_t>* held) {
              for (const std::size_t partition : *held) --uses_[partition].leases;
              delete held;
            }};
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
  struct Use {
    std::size_t leases = 0;
    std::optional<base::TimePoint> unused_since{};
  };

  std::vector<Use> uses_{};
};

}  // namespace canopy::proxy
