// The node's work for partitions that were split off others: adding and hosting them.
#include <algorithm>
#include <set>
#include <utility>

#include "core/base/log.h"
#include "core/keyspace/key.h"
#include "shard/node.h"

namespace canopy::shard {

namespace log = base::log;

// Adds a partition with the settings of the partition around it; null: no partition is around it.
Node::Replica* Node::add_partition(const std::string& subtree) {
  if (const auto known = map_.find(subtree); known != map_.size()) return replicas_[known].get();
  const std::size_t around = map_.owner(subtree);
  if (around == map_.size() || map_.size() >= base::max_partitions) return nullptr;
  config::Partition settings = replicas_[around]->settings;
  settings.subtree = subtree;
  map_.add(subtree);
  Replica& added = *replicas_.emplace_back(std::make_unique<Replica>(std::move(settings)));
  added.configured = false;
  return &added;
}

void Node::split(Hosted& from, cluster::Replica::SplitOff part) {
  log::info("shard", "partition split",
            {{"partition", keyspace::shown(from.subtree())},
             {"split_off", part.subtree},
             {"keys", part.copy.tree.size()}});
  split_off_.push_back({.identity = from.identity(), .part = std::move(part)});
  wake();
}

// An open copy stays, as in Storage.
void Node::host_split_off() {
  if (split_off_.empty()) return;
  for (SplitOff& made : std::exchange(split_off_, {})) {
    Replica* replica = add_partition(made.part.subtree);
    if (replica == nullptr || replica->opened) continue;
    keep(*replica, true);
    replica->opened = true;
    replica->clean = false;
    replica->recent = std::move(made.part.recent);
    host(*replica, made.identity, std::move(made.part.copy));
  }
  create_split_off();
}

// The leader of the parent creates the record of a part. The store may hold a copy of the part from
// before a restart.
void Node::create_split_off() {
  for (Replica* replica : std::vector(kept_)) {
    if (replica->hosted == nullptr) continue;
    Hosted& hosted = *replica->hosted;
    for (const std::string& subtree : std::set(hosted.replica().unrecorded())) {
      Replica* part = add_partition(subtree);
      if (part == nullptr) continue;
      if (part->record) {
        hosted.on_split_recorded(subtree);
      } else if (!part->opened && !part->clean && part->on_disk()) {
        open_copy(*part, false);
      } else if (auto origin = hosted.replica().origin(); origin && part->hosted != nullptr) {
        part->hosted->create(std::move(*origin), loop_.now());
      }
    }
  }
}

// True when the parent's replica here has not reached the split entry that makes this copy.
bool Node::awaits_split(const Replica& replica) const {
  if (!replica.record || !replica.record->parent) return false;
  const std::size_t index = map_.find(*replica.record->parent);
  if (index == map_.size()) return false;
  const Replica& parent = *replicas_[index];
  if (!parent.opened || !parent.failure.empty()) return false;
  if (parent.hosted == nullptr) return cluster::has_shard(replica.record->in_sync, config_.name);
  const cluster::ReplicaId self{config_.name, parent.hosted->identity()};
  return std::ranges::count(replica.record->in_sync, self) > 0 &&
         !parent.hosted->replica().splits().cover(replica.settings.subtree);
}

}  // namespace canopy::shard
