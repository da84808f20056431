// Leases on mirrors: each subscription or request holds one on the mirrors that it needs. A mirror
// lives while a lease holds it, and `mirror_keep_ms` after the last one has ended. Pure: time is an
// argument. Not thread-safe. The table outlives its leases.
#pragma once

#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"

namespace canopy::proxy {

// Holds the mirrors of some partitions until it is destroyed. Null holds none.
using MirrorLease = std::shared_ptr<const void>;

// The leases of all partitions, by their index.
class MirrorLeases {
 public:
  // A lease on `partitions`, which may hold keys under the prefix.
  MirrorLease hold(std::string_view prefix, std::vector<std::size_t> partitions) {
    for (const std::size_t partition : partitions) add_lease(partition);
    held_.push_back({std::string(prefix), std::move(partitions)});
    const auto held = std::prev(held_.end());
    return {&*held, [this, held](const Held*) {
              for (const std::size_t partition : held->partitions) --uses_[partition].leases;
              held_.erase(held);
            }};
  }
  // Extends the leases whose prefix overlaps the subtree of a new partition.
  void add(std::size_t partition, std::string_view subtree) {
    for (Held& held : held_) {
      if (!held.prefix.starts_with(subtree) && !subtree.starts_with(held.prefix)) continue;
      held.partitions.push_back(partition);
      add_lease(partition);
    }
  }
  // True when no lease has held the partition for `keep`. Time counts from the first call after
  // the last lease ended: call it a few times a second.
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
  struct Held {
    std::string prefix{};
    std::vector<std::size_t> partitions{};
  };

  void add_lease(std::size_t partition) {
    if (partition >= uses_.size()) uses_.resize(partition + 1);
    ++uses_[partition].leases;
    uses_[partition].unused_since.reset();
  }

  std::vector<Use> uses_{};
  std::list<Held> held_{};
};

}  // namespace canopy::proxy
