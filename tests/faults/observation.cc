#include "tests/faults/observation.h"

#include <algorithm>
#include <utility>

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

void Observation::changed(const client::Change& change, base::TimePoint now) {
  const std::size_t partition = partition_of(partitions_, change.key);
  Head& head = heads_[partition];
  if (change.revision.epoch() > head.latest.epoch()) begin_epoch(partition, now);
  check(change, partition, now);
  if (change.live) {
    head.unbroken = every_;
    ++live_changes_;
  }
  head.latest = std::max(head.latest, change.revision);
  const std::string key(change.key);
  seen_[key] = change.revision;
  if (change.deleted) {
    map_.erase(key);
  } else {
    map_[key] = {change.revision, std::string(change.value)};
  }
}

void Observation::check(const client::Change& change, std::size_t partition, base::TimePoint now) {
  const Head& head = heads_[partition];
  const auto seen = seen_.find(change.key);
  if (seen != seen_.end() && change.revision <= seen->second) {
    const bool twice = change.revision == seen->second;
    found_.push_back({twice ? "received twice" : "a key went back",
                      {},
                      std::string(change.key),
                      change.revision});
    return;
  }
  if (!change.live || !every_) return;
  // Deletions of one comparison share a revision.
  const bool at_bound = change.deleted && change.revision == head.latest;
  if (change.revision <= head.latest && !at_bound) {
    add_pending(change, partition, now, "a partition went back", {});
  }
  const bool same_epoch = change.revision.epoch() == head.latest.epoch();
  if (head.unbroken && same_epoch && change.revision > head.latest.next()) {
    add_pending(
        change, partition, now, "",
        Hole{partition, head.latest.next(), keyspace::Revision(change.revision.value() - 1)});
  }
}

void Observation::add_pending(const client::Change& change, std::size_t partition,
                              base::TimePoint now, std::string what, std::optional<Hole> hole) {
  const auto& new_epoch = heads_[partition].new_epoch;
  if (new_epoch && now - *new_epoch < takeover) {
    ++takeovers_;
    return;
  }
  Finding finding{std::move(what), hole, std::string(change.key), change.revision};
  pending_.push_back({now, partition, std::move(finding)});
}

void Observation::begin_epoch(std::size_t partition, base::TimePoint now) {
  // The first known epoch is not a new one.
  if (strict_ || heads_[partition].latest == keyspace::Revision()) return;
  heads_[partition].new_epoch = now;
  takeovers_ += std::erase_if(pending_, [&](const Pending& each) {
    return each.partition == partition && now - each.since < takeover;
  });
}

std::vector<Observation::Finding> Observation::findings(base::TimePoint now) {
  while (!pending_.empty() && now - pending_.front().since >= takeover) {
    found_.push_back(std::move(pending_.front().finding));
    pending_.pop_front();
  }
  return std::exchange(found_, {});
}

void Observation::interrupted() {
  for (Head& head : heads_) head.unbroken = false;
}

}  // namespace canopy::faults
