// The leader's messages to its followers.
#include <algorithm>

#include "core/base/limits.h"
#include "core/cluster/replica.h"
#include "core/wire/link.h"

namespace canopy::cluster {
namespace {

using keyspace::EpochEnd;
using keyspace::LogEntry;
using keyspace::Revision;

// Bound of the entries sent to a follower and not acknowledged.
constexpr std::size_t max_bytes_in_flight = std::size_t{16} << 20;
constexpr std::size_t bytes_of_request = 48;

std::size_t bytes_of(const LogEntry& entry) {
  return entry.update->encoded().size() + (entry.request ? bytes_of_request : 2);
}

}  // namespace

void Replica::answer(const std::string& from, const wire::Follow& follow) {
  const bool welcome = (wanted(from) || has_shard(record_->in_sync, from)) &&
                       from != settings_.self.shard && from == follow.shard;
  early_.erase(from);
  if (welcome && follow.epoch > known_epoch()) {
    early_[from] = follow;
    return;
  }
  if (!welcome || !leading_ || follow.epoch != epoch_) return refuse(from, follow.session);
  Follower& follower = followers_[from];
  if (follower.identity != follow.identity) follower = {.identity = follow.identity};
  const Revision common = log_.common(follow.history);
  follower.acknowledged = std::min(follower.acknowledged, common);
  follower.open = true;
  follower.confirmed = false;
  follower.session = follow.session;
  follower.number = 0;
  follower.sent = common;
  follower.committed_sent = {};
  follower.snapshot.reset();
  follower.in_flight.clear();
  follower.bytes_in_flight = 0;
  unled_.erase(from);
  if (common < follow.committed) begin_snapshot(follower);
}

void Replica::answer(const std::string& from, const wire::Stored& stored) {
  if (early_.contains(from)) return;
  const auto found = followers_.find(from);
  if (!leading_ || stored.epoch != epoch_ || found == followers_.end() || !found->second.open ||
      found->second.session != stored.session || found->second.identity != stored.identity) {
    return refuse(from, stored.session);
  }
  Follower& follower = found->second;
  if (stored.position > follower.sent) return;
  follower.confirmed = true;
  follower.acknowledged = std::max(follower.acknowledged, stored.position);
  auto& in_flight = follower.in_flight;
  for (; !in_flight.empty() && in_flight.front().first <= stored.position; in_flight.pop_front()) {
    follower.bytes_in_flight -= in_flight.front().second;
  }
}

void Replica::refuse(const std::string& from, std::uint64_t session) {
  unled_[from] = {.partition = settings_.partition,
                  .epoch = known_epoch(),
                  .session = session,
                  .identity = settings_.self.identity};
}

void Replica::begin_snapshot(Follower& follower) const {
  follower.snapshot = SnapshotWalk{.splits = splits_.list(),
                                   .entry = tree_.view().seek(""),
                                   .requests = requests_.list(),
                                   .cut = committed_,
                                   .history = log_.history_up_to(committed_)};
}

bool Replica::has_message(const Follower& follower) const {
  if (!follower.open) return false;
  return follower.snapshot || follower.number == 0 || follower.committed_sent < committed_ ||
         (follower.sent < log_.last() && follower.bytes_in_flight < max_bytes_in_flight);
}

std::vector<std::string> Replica::waiting() const {
  std::vector<std::string> shards;
  for (const auto& [shard, unled] : unled_) shards.push_back(shard);
  for (const auto& [shard, follower] : followers_) {
    if (has_message(follower) && !unled_.contains(shard)) shards.push_back(shard);
  }
  return shards;
}

std::optional<wire::ToFollower> Replica::next_for(const std::string& shard, base::TimePoint) {
  if (auto unled = unled_.extract(shard)) return std::move(unled.mapped());
  const auto found = followers_.find(shard);
  if (found == followers_.end() || !has_message(found->second)) return std::nullopt;
  Follower& follower = found->second;
  if (!follower.snapshot && !log_.reaches(follower.sent)) begin_snapshot(follower);
  if (follower.snapshot) return next_snapshot(follower);
  return next_append(follower);
}

wire::Append Replica::next_append(Follower& follower) const {
  const EpochEnd& of = log_.epoch_after(follower.sent);
  wire::Append append{.partition = settings_.partition,
                      .epoch = epoch_,
                      .session = follower.session,
                      .number = follower.number++,
                      .of_epoch = of.epoch,
                      .of_lineage = of.lineage,
                      .after = follower.sent,
                      .committed = committed_};
  std::size_t bytes = 0;
  follower.sent = std::max(follower.sent, Revision(of.epoch, 0));
  const bool room = follower.bytes_in_flight < max_bytes_in_flight;
  for (const LogEntry* entry = room ? log_.after(follower.sent) : nullptr;
       entry != nullptr && entry->update->revision.epoch() == of.epoch &&
       append.entries.size() < wire::max_message_updates;
       entry = log_.after(follower.sent)) {
    if (bytes > 0 && bytes + bytes_of(*entry) > base::max_chunk_bytes) break;
    bytes += bytes_of(*entry);
    append.entries.push_back(*entry);
    follower.sent = entry->update->revision;
  }
  if (bytes > 0) follower.in_flight.emplace_back(follower.sent, bytes);
  follower.bytes_in_flight += bytes;
  follower.committed_sent = committed_;
  return append;
}

wire::Snapshot Replica::next_snapshot(Follower& follower) const {
  SnapshotWalk& walk = *follower.snapshot;
  wire::Snapshot snapshot{.partition = settings_.partition,
                          .epoch = epoch_,
                          .session = follower.session,
                          .number = follower.number++,
                          .cut = walk.cut,
                          .history = std::exchange(walk.history, {})};
  std::size_t bytes = 0;
  for (; walk.next_split < walk.splits.size() &&
         snapshot.updates.size() < wire::max_message_updates && bytes < base::max_chunk_bytes;
       ++walk.next_split) {
    bytes += walk.splits[walk.next_split]->encoded().size();
    snapshot.updates.push_back(std::move(walk.splits[walk.next_split]));
  }
  if (walk.next_split < walk.splits.size()) return snapshot;
  for (; !walk.entry.done() && snapshot.updates.size() < wire::max_message_updates;
       walk.entry.next()) {
    const std::size_t size = (*walk.entry)->encoded().size();
    if (bytes > 0 && bytes + size > base::max_chunk_bytes) break;
    bytes += size;
    snapshot.updates.push_back(*walk.entry);
  }
  for (; walk.entry.done() && walk.next_request < walk.requests.size() &&
         snapshot.requests.size() < wire::max_message_updates &&
         bytes + bytes_of_request <= base::max_chunk_bytes;
       ++walk.next_request) {
    bytes += bytes_of_request;
    snapshot.requests.push_back(std::move(walk.requests[walk.next_request]));
  }
  snapshot.last = walk.entry.done() && walk.next_request == walk.requests.size();
  if (snapshot.last) {
    follower.sent = follower.committed_sent = walk.cut;
    follower.snapshot.reset();
  }
  return snapshot;
}

}  // namespace canopy::cluster
