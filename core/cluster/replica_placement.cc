// The placement of a partition, and which replicas may join, stay and leave because of it.
#include <algorithm>

#include "core/cluster/replica.h"

namespace canopy::cluster {

const std::vector<std::string>& Replica::placement() const {
  return remembered_ && !remembered_->placement.empty() ? remembered_->placement
                                                        : settings_.placement;
}

bool Replica::placed(const std::string& shard) const {
  return std::ranges::count(placement(), shard) > 0;
}

// Whether the shard's replica may follow and join. Replicas that are no longer placed may, too,
// until every placed shard is in the set.
bool Replica::wanted(const std::string& shard) const {
  return placed(shard) || !record_ || !covers(record_->in_sync, placement());
}

// No other shard is placed, or in the set.
bool Replica::alone() const {
  return placement().size() == 1 && placed(settings_.self.shard) &&
         (!remembered_ || only_of(remembered_->in_sync, settings_.self.shard));
}

// No other replica can take over from the only one: it needs no lease.
bool Replica::has_lease(base::TimePoint now) const {
  return alone() || (deadline_ && now < *deadline_);
}

// A partition with one replica in memory promises nothing that an empty copy does not hold. During
// a move its holder may be no longer placed.
bool Replica::forgetful() const {
  if (!settings_.forgetful || placement().size() != 1) return false;
  return remembered_ ? only_of(remembered_->in_sync, settings_.self.shard)
                     : placed(settings_.self.shard);
}

// Removes the members that are no longer placed, once every placed shard is in the set.
void Replica::dismiss(std::vector<ReplicaId>& members) {
  const auto leaves = [this](const std::string& shard) {
    return !placed(shard) && shard != settings_.self.shard;
  };
  std::erase_if(members, [&](const ReplicaId& member) { return leaves(member.shard); });
  std::erase_if(followers_, [&](const auto& follower) {
    return leaves(follower.first) && !has_shard(record_->in_sync, follower.first);
  });
}

bool Replica::dispensable() const {
  return !proposal_ && !leading_ && !lost() && !wanted(settings_.self.shard) &&
         !has_shard(record_->in_sync, settings_.self.shard);
}

}  // namespace canopy::cluster
