// The follower: asks the leader, stores what comes, acknowledges what lasts.
#include <algorithm>
#include <cassert>

#include "core/cluster/replica.h"

namespace canopy::cluster {

using keyspace::Revision;

void Replica::follow(bool from_nothing, base::TimePoint now, Effects& out) {
  following_.reset();
  if (record_->leader.shard == settings_.self.shard) return;
  // Grows over restarts as well.
  last_session_ =
      std::max(last_session_ + 1, static_cast<std::uint64_t>(now.time_since_epoch().count()));
  following_ = Following{.session = last_session_, .last_sent = now, .from_nothing = from_nothing};
  send_follow(out);
}

void Replica::send_follow(Effects& out) const {
  if (!links_.contains(record_->leader.shard)) return;
  wire::Follow follow{.partition = settings_.partition,
                      .shard = settings_.self.shard,
                      .identity = settings_.self.identity,
                      .epoch = epoch_,
                      .session = following_->session,
                      .committed = irrevocable()};
  if (!following_->from_nothing) follow.history = log_.history();
  out.messages.push_back({record_->leader.shard, std::move(follow)});
}

void Replica::send_stored(Effects& out) const {
  out.messages.push_back({record_->leader.shard, wire::Stored{.partition = settings_.partition,
                                                              .shard = settings_.self.shard,
                                                              .identity = settings_.self.identity,
                                                              .epoch = epoch_,
                                                              .session = following_->session,
                                                              .position = stored_}});
}

void Replica::keep_following(base::TimePoint now, Effects& out) {
  if (now - following_->last_sent < settings_.retry) return;
  if (!following_->answered) return follow(following_->from_nothing, now, out);
  // A leader that does not know the session replies with Unled.
  following_->last_sent = now;
  send_stored(out);
}

// The message does not fit this session: the follower sends a new Follow after `retry`.
void Replica::leave_session(base::TimePoint now) {
  following_ = Following{
      .session = ++last_session_, .last_sent = now, .from_nothing = following_->from_nothing};
}

void Replica::receive(wire::Append append, base::TimePoint now, Effects& out) {
  if (append.epoch != epoch_ || append.number < following_->number) return;
  if (append.number > following_->number) return follow(following_->from_nothing, now, out);
  if (append.after < irrevocable()) {
    // The logs diverge before the commit position of this replica.
    return following_->from_nothing ? leave_session(now) : follow(true, now, out);
  }
  if (append.after < log_.last()) truncate(append.after, out);
  const bool same = log_.last().epoch() == append.of_epoch;
  if (log_.last() != append.after || (same && log_.history().back().lineage != append.of_lineage)) {
    return leave_session(now);
  }
  const bool first = following_->number++ == 0;
  following_->answered = true;
  following_->from_nothing = false;
  if (!same) begin_epoch(append.of_epoch, append.of_lineage, out);
  if (!append.entries.empty()) this->append(std::move(append.entries), false, out);
  if (first) send_stored(out);
  following_->leader_committed = std::max(following_->leader_committed, append.committed);
  commit(std::min(following_->leader_committed, stored_), out);
}

void Replica::receive(wire::Snapshot snapshot, base::TimePoint now, Effects& out) {
  if (snapshot.epoch != epoch_ || snapshot.number < following_->number) return;
  if (snapshot.number > following_->number) return follow(following_->from_nothing, now, out);
  auto& staging = following_->staging;
  if (snapshot.number == 0 || !snapshot.history.empty()) {
    staging = Following::Staging{.cut = snapshot.cut, .history = std::move(snapshot.history)};
  }
  // A member must not go back: others may have counted on what it has.
  const Revision end = !staging || staging->history.empty()
                           ? Revision()
                           : Revision(staging->history.back().epoch, staging->history.back().last);
  if (!staging || snapshot.cut != staging->cut || end != staging->cut ||
      (in_sync(settings_.self) && snapshot.cut < committed_)) {
    return leave_session(now);
  }
  ++following_->number;
  following_->answered = true;
  for (const keyspace::UpdatePtr& update : snapshot.updates) {
    update->splits ? staging->splits.add(update) : staging->tree.put(update);
  }
  std::ranges::move(snapshot.requests, std::back_inserter(staging->requests));
  if (snapshot.last) install(out);
}

void Replica::install(Effects& out) {
  Following::Staging staged = *std::exchange(following_->staging, std::nullopt);
  following_->from_nothing = false;
  following_->leader_committed = staged.cut;
  tree_ = std::move(staged.tree);
  tombstones_.reset(staged.cut);
  splits_ = std::move(staged.splits);
  expect_records();
  requests_ = RequestTable(staged.requests);
  log_ = keyspace::ReplicaLog(settings_.log, staged.history);
  committed_ = committed_by_store_ = staged.cut;
  stored_ = {};
  storing_.clear();
  store_log(Install{tree_.view(), std::move(staged.requests), staged.cut, std::move(staged.history),
                    splits_.list()},
            out);
  out.replaced = true;
}

// The shard that should lead does not: by now, or for good if its copy is another one.
void Replica::receive(const wire::Unled& unled, base::TimePoint now, Effects&) {
  if (unled.identity != record_->leader.identity && unled.epoch <= epoch_) gone_ = record_->leader;
  leave_session(now);
}

}  // namespace canopy::cluster
