// How a partition is split at an entry of its log.
#include <utility>

#include "core/cluster/replica.h"

namespace canopy::cluster {

using keyspace::LogEntry;
using keyspace::Revision;
using keyspace::UpdatePtr;

// The owner reports again which split-off partitions have a record.
void Replica::expect_records() {
  unrecorded_.clear();
  for (const UpdatePtr& split : splits_.list()) unrecorded_.emplace(split->key);
}

// Every replica does the same, because the result depends on the log alone. The new partition knows
// all requests so far, so that either partition recognises a repeated one.
void Replica::split_off(const LogEntry& entry, Effects& out) {
  const UpdatePtr& split = entry.update;
  if (splits_.cover(split->key)) return;
  SplitOff made{.subtree = std::string(split->key)};
  made.copy = {.tree = tree_.extract(split->key),
               .splits = splits_.extract(split->key),
               .requests = requests_.list(),
               .committed = split->revision,
               .history = log_.history_up_to(split->revision),
               .tombstones = tombstones_.extract(split->key)};
  for (const LogEntry* each = log_.after(log_.first());
       each != nullptr && each->update->revision < split->revision;
       each = log_.after(each->update->revision)) {
    if (each->update->key.starts_with(split->key) && !each->update->splits) {
      made.recent.push_back(each->update);
    }
  }
  splits_.add(split);
  for (const UpdatePtr& below : made.copy.splits.list()) unrecorded_.erase(std::string(below->key));
  unrecorded_.insert(made.subtree);
  store(Split{.entry = split,
              .tree = made.copy.tree.view(),
              .splits = made.copy.splits.list(),
              .requests = made.copy.requests,
              .history = made.copy.history},
        out);
  committed_by_store_ = split->revision;
  out.split_off.push_back(std::move(made));
}

// A leader that cannot commit yet may report it, too: no replica may join before, and a commit may
// need others.
std::optional<Replica::Origin> Replica::origin() const {
  if (!leading_ || lost()) return std::nullopt;
  return Origin{
      .parent = settings_.partition, .members = record_->in_sync, .placement = placement()};
}

void Replica::create(Origin origin, base::TimePoint now, Effects& out) {
  if (!record_ && !remembered_) origin_ = std::move(origin);
  settle(now, out);
}

}  // namespace canopy::cluster
