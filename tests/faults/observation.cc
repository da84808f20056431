#include "tests/faults/observation.h"

#include <algorithm>

namespace canopy::faults {

std::size_t partition_of(const std::vector<std::string>& partitions, std::string_view key) {
  std::size_t best = 0, length = 0;
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    if (!key.starts_with(partitions[i]) || partitions[i].size() < length) continue;
    best = i;
    length = partitions[i].size();
  }
  return best;
}

Observation::Finding Observation::changed(const client::Change& change) {
  const std::size_t partition = partition_of(partitions_, change.key);
  Head& head = heads_[partition];
  Finding finding{check(change, head), hole(change, partition)};
  if (change.live) {
    head.unbroken = every_;
    ++live_changes_;
  }
  head.latest = std::max(head.latest, change.revision);
  const std::string key(change.key);
  told_[key] = change.revision;
  if (change.deleted) {
    map_.erase(key);
  } else {
    map_[key] = {change.revision, std::string(change.value)};
  }
  return finding;
}

std::optional<std::string> Observation::check(const client::Change& change,
                                              const Head& head) const {
  const auto told = told_.find(change.key);
  if (told != told_.end() && change.revision <= told->second) {
    return change.revision == told->second ? "told twice" : "a key stepped back";
  }
  if (!change.live || !every_) return std::nullopt;
  if (change.revision <= head.latest) return "a partition stepped back";
  return std::nullopt;
}

std::optional<Observation::Hole> Observation::hole(const client::Change& change,
                                                   std::size_t partition) const {
  const Head& head = heads_[partition];
  const bool next_of_epoch =
      change.live && head.unbroken && change.revision.epoch() == head.latest.epoch();
  if (!next_of_epoch || change.revision <= head.latest.next()) return std::nullopt;
  return Hole{partition, head.latest.next(), keyspace::Revision(change.revision.value() - 1)};
}

void Observation::interrupted() {
  for (Head& head : heads_) head.unbroken = false;
}

}  // namespace canopy::faults
