#include "tests/simulation/broken_rules.h"

#include <algorithm>

namespace canopy::simulation {

void BrokenRules::recover(cluster::Replica::Recovered& recovered, const cluster::ReplicaId& self) {
  if (rule_ != Broken::reuse_epoch || !recovered.record || recovered.record->leader != self) return;
  const std::uint32_t epoch = recovered.record->epoch;
  forgotten_ = recovered.record;
  recovered.record->epoch = epoch - 1;
  const keyspace::Revision start(epoch, 0);
  std::erase_if(recovered.history, [&](const auto& end) { return end.epoch >= epoch; });
  std::erase_if(recovered.tail, [&](const auto& entry) { return entry.update->revision > start; });
  recovered.committed = std::min(recovered.committed, start);
}

void BrokenRules::see(std::optional<cluster::PartitionRecord>& record,
                      const cluster::ReplicaId& self) const {
  if (!record) return;
  if (forgotten_ && record->lineage == forgotten_->lineage) --record->epoch;
  if (rule_ == Broken::elect_outsider &&
      std::find(record->in_sync.begin(), record->in_sync.end(), self) == record->in_sync.end()) {
    record->in_sync.push_back(self);
    std::sort(record->in_sync.begin(), record->in_sync.end());
  }
}

void BrokenRules::hear(const wire::ToLeader& message) {
  const auto* follow = std::get_if<wire::Follow>(&message);
  if (rule_ == Broken::commit_alone && follow != nullptr) followers_[follow->shard] = *follow;
}

std::optional<wire::Stored> BrokenRules::send(const std::string& to,
                                              wire::ToFollower& message) const {
  auto* append = std::get_if<wire::Append>(&message);
  if (append == nullptr || append->entries.empty()) return std::nullopt;
  if (rule_ == Broken::forget_requests) {
    for (keyspace::LogEntry& entry : append->entries) entry.request.reset();
  }
  const auto follower = followers_.find(to);
  if (follower == followers_.end()) return std::nullopt;
  const wire::Follow& follow = follower->second;
  return wire::Stored{append->partition, follow.shard,    follow.identity,
                      append->epoch,     append->session, append->entries.back().update->revision};
}

bool BrokenRules::takes_early(const std::optional<cluster::PartitionRecord>& current,
                              const cluster::PartitionRecord& proposed) const {
  return rule_ == Broken::shrink_early && current && current->epoch == proposed.epoch &&
         proposed.in_sync.size() < current->in_sync.size();
}

}  // namespace canopy::simulation
