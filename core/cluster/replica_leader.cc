// The leader: commits, the in-sync set, and handing over.
#include <algorithm>
#include <cassert>

#include "core/cluster/replica.h"

namespace canopy::cluster {
namespace {

using keyspace::LogEntry;
using keyspace::Revision;

// A follower that lacks no more updates than this becomes a member once it has every committed
// entry. From then on commits wait for it.
constexpr std::uint64_t joining_updates = 1024;

}  // namespace

void Replica::lead(base::TimePoint now, Effects& out) {
  // The first entries of an incomplete request were never committed.
  if (const Revision end = whole(log_.last()); end < log_.last()) truncate(end, out);
  leading_ = true;
  accepts_loss_ = false;
  following_.reset();
  begin_epoch(epoch_, lineage_, out);
  for (const ReplicaId& member : record_->in_sync) {
    if (member.shard == settings_.self.shard) continue;
    followers_[member.shard] = {
        .identity = member.identity, .mark = log_.last(), .waiting_since = now};
  }
  for (const auto& [shard, early] : std::exchange(early_, {})) answer(shard, early);
}

void Replica::step_down() {
  leading_ = confirmed_ = false;
  followers_.clear();
  joining_.reset();
  prefers_.reset();
  handing_over_ = false;
}

void Replica::propose(std::vector<LogEntry> entries, base::TimePoint now, Effects& out) {
  assert(leading_ && !entries.empty() && entries.back().completes);
  const bool splits =
      std::ranges::any_of(entries, [](auto& entry) { return entry.update->splits; });
  const bool alone = record_ && record_->in_sync == std::vector{settings_.self} && !joining_ &&
                     settings_.min_in_sync <= 1 && !splits;
  // The store commits in order, and has already committed everything before these.
  append(std::move(entries), alone && committed_by_store_ == log_.last(), out);
  settle(now, out);
}

void Replica::advance(base::TimePoint now, Effects& out) {
  // After a pause of this process the acknowledgements of followers may still be unread.
  if (now - settled_ > settings_.lag / 2) {
    for (auto& [shard, follower] : followers_) {
      if (follower.waiting_since) follower.waiting_since = now;
    }
  }
  watch_lags(now);
  if (!confirmed_ || !has_lease(now) || lost() || !enough_in_sync()) return;
  const Revision to = stored_by_all();
  // Entries of former epochs are committed together with the start of this one.
  if (to >= Revision(epoch_, 0)) commit(to, out);
}

Revision Replica::stored_by_all() const {
  Revision all = stored_;
  const auto wait_for = [&](const ReplicaId& replica) {
    if (replica != settings_.self) all = std::min(all, acknowledged(replica));
  };
  std::ranges::for_each(record_->in_sync, wait_for);
  if (joining_) wait_for(*joining_);  // the coordinator may have made it a member already
  return all;
}

Revision Replica::acknowledged(const ReplicaId& replica) const {
  const auto follower = followers_.find(replica.shard);
  if (follower == followers_.end() || follower->second.identity != replica.identity) return {};
  return follower->second.acknowledged;
}

void Replica::watch_lags(base::TimePoint now) {
  for (auto& [shard, follower] : followers_) {
    if (follower.waiting_since && follower.acknowledged >= follower.mark) {
      follower.waiting_since.reset();
    }
    if (!follower.waiting_since && follower.acknowledged < log_.last()) {
      follower.waiting_since = now;
      follower.mark = log_.last();
    }
  }
}

bool Replica::lagging(const Follower& follower, base::TimePoint now) const {
  return follower.waiting_since && now - *follower.waiting_since > settings_.lag;
}

std::uint64_t Replica::updates_after(Revision position) const {
  std::uint64_t count = 0;
  for (const keyspace::EpochEnd& epoch : log_.history()) {
    if (epoch.epoch > position.epoch()) count += epoch.last;
    if (epoch.epoch == position.epoch()) count += epoch.last - position.counter();
  }
  return count;
}

std::map<std::string, std::uint64_t> Replica::lags() const {
  std::map<std::string, std::uint64_t> lags;
  if (!leading_) return lags;
  for (const std::string& shard : placement()) {
    if (shard == settings_.self.shard) continue;
    const auto follower = followers_.find(shard);
    lags[shard] =
        updates_after(follower == followers_.end() ? Revision() : follower->second.acknowledged);
  }
  return lags;
}

// --- the in-sync set --------------------------------------------------------------------------

void Replica::decide_as_leader(base::TimePoint now, Effects& out) {
  if (!has_lease(now) || !alive_) return;
  if (lost()) return propose_record(*remembered_, out);
  PartitionRecord next = *record_;
  std::erase_if(next.in_sync, [&](const ReplicaId& member) { return must_leave(member, now); });
  if (covers(next.in_sync, placement())) dismiss(next.in_sync);
  if (unrecorded_.empty()) {
    choose_joining(now);
  } else {
    joining_.reset();
  }
  // The entries that former leaders committed are all before the start of this epoch.
  const Revision enough = std::max(irrevocable(), Revision(epoch_, 0));
  if (joining_ && acknowledged(*joining_) >= enough) next.in_sync.push_back(*joining_);
  if (!confirmed_ || next.in_sync != record_->in_sync) return propose_record(std::move(next), out);
  consider_handover(now, out);
}

bool Replica::must_leave(const ReplicaId& member, base::TimePoint now) const {
  if (member == settings_.self) return false;
  const auto follower = followers_.find(member.shard);
  return !alive(member.shard) || follower == followers_.end() ||
         follower->second.identity != member.identity || lagging(follower->second, now);
}

bool Replica::may_join(const ReplicaId& replica, base::TimePoint now) const {
  const auto found = followers_.find(replica.shard);
  if (found == followers_.end() || in_sync(replica)) return false;
  const Follower& follower = found->second;
  return wanted(replica.shard) && follower.open && follower.confirmed &&
         follower.identity == replica.identity && alive(replica.shard) && !lagging(follower, now);
}

void Replica::choose_joining(base::TimePoint now) {
  if (joining_ && !may_join(*joining_, now)) joining_.reset();
  for (auto follower = followers_.begin(); !joining_ && follower != followers_.end(); ++follower) {
    const ReplicaId replica{follower->first, follower->second.identity};
    if (may_join(replica, now) && updates_after(acknowledged(replica)) <= joining_updates) {
      joining_ = replica;
    }
  }
}

// --- handing over -----------------------------------------------------------------------------

// The preferred one of the members that could lead.
ReplicaId Replica::preferred() const {
  for (const std::string& shard : placement()) {
    if (shard == settings_.self.shard) break;
    const auto follower = followers_.find(shard);
    if (follower == followers_.end() || !follower->second.open || !alive(shard)) continue;
    ReplicaId replica{shard, follower->second.identity};
    if (in_sync(replica)) return replica;
  }
  return settings_.self;
}

void Replica::consider_handover(base::TimePoint now, Effects& out) {
  handing_over_ = false;
  const ReplicaId to = preferred();
  if (to == settings_.self) return prefers_.reset();
  if (!prefers_ || prefers_->first != to) prefers_ = {to, now};
  const base::Duration since = now - prefers_->second;
  if (since < settings_.prefer_after) return;
  if (since > settings_.prefer_after + settings_.lag) return prefers_.reset();  // later again
  handing_over_ = true;
  if (committed_ < log_.last() || acknowledged(to) < log_.last()) return;
  PartitionRecord next = *record_;
  next.epoch = next_epoch();
  next.lineage = draw_lineage();
  next.leader = to;
  propose_record(std::move(next), out);
}

}  // namespace canopy::cluster
