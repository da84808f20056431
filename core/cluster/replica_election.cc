// Election: when a replica may propose to lead, when it does, and the reason shown to operators
// while no replica can.
#include <algorithm>

#include "core/cluster/replica.h"

namespace canopy::cluster {

using keyspace::Revision;

void Replica::consider_leading(base::TimePoint now, Effects& out) {
  const std::optional<base::Duration> wait = wait_to_lead(now);
  if (!wait || next_epoch() > Revision::max_epoch) {
    vacant_since_.reset();
    return;
  }
  if (!vacant_since_) vacant_since_ = now;
  if (now - *vacant_since_ >= *wait) propose_record(candidacy(), out);
}

// Nothing: it may not.
std::optional<base::Duration> Replica::wait_to_lead(base::TimePoint now) const {
  constexpr base::Duration at_once{0};
  if (accepts_loss_) return at_once;
  if (!has_lease(now) || !alive_ || stored_ < committed_) return std::nullopt;
  if (lost()) return wait_to_create();
  if (forgetful()) return at_once;
  if (!in_sync(settings_.self) || !leader_is_gone()) return std::nullopt;
  if (record_->leader.shard == settings_.self.shard) return at_once;
  return settings_.election_step * rank();
}

std::optional<base::Duration> Replica::wait_to_create() const {
  constexpr base::Duration at_once{0};
  if (origin_ && !record_ && !remembered_) return at_once;
  if (remembered_ && remembered_->in_sync == std::vector{settings_.self}) return at_once;
  if (forgetful() && (virgin() || remembered_)) return at_once;
  if (record_ || !virgin() || !placed(settings_.self.shard)) return std::nullopt;
  const auto self = std::ranges::find(placement(), settings_.self.shard);
  if (std::any_of(placement().begin(), self,
                  [this](const std::string& shard) { return alive(shard); })) {
    return std::nullopt;
  }
  return settings_.election_step * (self - placement().begin());
}

bool Replica::leader_is_gone() const {
  const ReplicaId& leader = record_->leader;
  return leader.shard == settings_.self.shard || !alive(leader.shard) || gone_ == leader;
}

void Replica::watch_leader(base::TimePoint now) {
  if (leading_ || !record_ || !alive_ || !leader_is_gone()) return leaderless_since_.reset();
  if (!leaderless_since_) leaderless_since_ = now;
}

bool Replica::virgin() const {
  return !remembered_ && committed_ == Revision() && log_.history().empty();
}

// How many replicas that could lead are preferred to this one.
std::size_t Replica::rank() const {
  std::size_t rank = 0;
  for (const std::string& shard : placement()) {
    if (shard == settings_.self.shard) break;
    rank += std::ranges::any_of(record_->in_sync, [&](const ReplicaId& member) {
      return member.shard == shard && alive(shard) && member != gone_;
    });
  }
  return rank;
}

// Without the members that are gone.
PartitionRecord Replica::candidacy() const {
  PartitionRecord next{.epoch = next_epoch(),
                       .lineage = draw_lineage(),
                       .leader = settings_.self,
                       .in_sync = {settings_.self}};
  if (remembered_) {
    next.placement = remembered_->placement;
    next.splits = remembered_->splits;
    next.parent = remembered_->parent;
  } else if (origin_) {
    next.placement = origin_->placement;
    next.parent = origin_->parent;
  }
  const bool creates = origin_ && !record_ && !remembered_;
  if (!creates && (accepts_loss_ || lost())) return next;
  for (const ReplicaId& member : creates ? origin_->members : record_->in_sync) {
    if (member.shard != settings_.self.shard && alive(member.shard) && member != gone_) {
      next.in_sync.push_back(member);
    }
  }
  return next;
}

std::uint32_t Replica::next_epoch() const {
  return std::max(std::max(known_epoch(), record_ ? record_->epoch : 0) + 1, least_epoch_);
}

std::uint64_t Replica::draw_lineage() const {
  return std::max<std::uint64_t>(settings_.random(), 1);
}

void Replica::accept_loss(base::TimePoint now, Effects& out) {
  accepts_loss_ |= heard_ && !leading_ && !trouble_of_follower(now).empty();
  settle(now, out);
}

std::string Replica::trouble(base::TimePoint now) const {
  if (!heard_) return "the coordinator has not told yet which shard leads";
  if (next_epoch() > Revision::max_epoch) return "no epoch is left";
  return leading_ ? trouble_of_leader(now) : trouble_of_follower(now);
}

std::string Replica::trouble_of_leader(base::TimePoint now) const {
  if (!has_lease(now)) return "the lease of this shard has run out";
  if (lost()) return "the coordinator has lost the record of this partition; it is written again";
  if (!enough_in_sync()) {
    return "only " + std::to_string(record_->in_sync.size()) + " of at least " +
           std::to_string(settings_.min_in_sync) + " replicas are in sync";
  }
  if (!confirmed_) return "the coordinator has not confirmed yet that this shard leads";
  if (!caught_up()) {
    return "followers have not stored yet what former leaders may have committed";
  }
  if (handing_over_) return "the partition is being handed over to " + prefers_->first.shard;
  return {};
}

std::string Replica::trouble_of_follower(base::TimePoint now) const {
  if (accepts_loss_ || !alive_) return {};
  if (lost()) {
    if (wait_to_create() || !remembered_) return {};  // nothing yet, or just split off
    return "the coordinator has no record of this partition, and other replicas may have more than "
           "this one: start them, or let one lead with what it has (`canopy elect`)";
  }
  if (!leader_is_gone() || forgetful() || in_sync(settings_.self)) return {};
  const bool someone = std::ranges::any_of(record_->in_sync, [this](const ReplicaId& member) {
    return member.shard != settings_.self.shard && alive(member.shard) && member != gone_;
  });
  if (someone && (!leaderless_since_ || now - *leaderless_since_ < settings_.takeover)) return {};
  return "every replica that has all that was committed is away: start them, or let one lead with "
         "what it has (`canopy elect`)";
}

}  // namespace canopy::cluster
