#include "core/cluster/replica.h"

#include <cassert>

namespace canopy::cluster {

using keyspace::EpochEnd;
using keyspace::LogEntry;
using keyspace::Revision;

Replica::Replica(Settings settings, Recovered recovered, base::TimePoint now)
    : settings_(std::move(settings)),
      tree_(std::move(recovered.tree)),
      splits_(std::move(recovered.splits)),
      requests_(recovered.requests),
      log_(settings_.log, std::move(recovered.history)),
      committed_(recovered.committed),
      committed_by_store_(recovered.committed),
      remembered_(std::move(recovered.record)),
      settled_(now) {
  assert(settings_.random);
  const std::vector<EpochEnd> history = log_.history();
  log_ = keyspace::ReplicaLog(settings_.log, log_.history_up_to(committed_));
  auto entry = recovered.tail.begin();
  for (const EpochEnd& epoch : history) {
    if (epoch.epoch > log_.last().epoch()) log_.begin_epoch(epoch.epoch, epoch.lineage);
    for (; entry != recovered.tail.end() && entry->update->revision.epoch() == epoch.epoch;
         ++entry) {
      log_.append(std::move(*entry));
    }
  }
  assert(entry == recovered.tail.end());
  stored_ = log_.last();
  tombstones_.reset(committed_);
  if (recovered.tombstones) tombstones_ = std::move(*recovered.tombstones);
  expect_records();
}

// --- the coordinator --------------------------------------------------------------------------

void Replica::on_record(std::optional<PartitionRecord> record, std::uint64_t version,
                        base::TimePoint now, Effects& out) {
  if (proposal_ && record == proposal_->record && version > proposal_->expected) confirm(*record);
  const bool older = awaited_after_ && (record ? version <= *awaited_after_ : *awaited_after_ == 0);
  if (!older) {
    awaited_after_.reset();
    blocked_until_ = {};
    heard_ = true;
    version_ = record ? version : 0;
    record_ = std::move(record);
    adopt(now, out);
  }
  settle(now, out);
}

void Replica::on_proposed(bool taken, base::TimePoint now, Effects& out) {
  if (!proposal_) return;
  const Proposal proposal = *std::exchange(proposal_, std::nullopt);
  if (taken) confirm(proposal.record);
  // If the version differs, the coordinator has already reported this change, or later ones.
  if (version_ == proposal.expected) {
    if (taken) {
      awaited_after_ = proposal.expected;
      record_ = proposal.record;
      adopt(now, out);
    } else {
      blocked_until_ = now + settings_.retry;
    }
  }
  settle(now, out);
}

void Replica::on_shards(std::set<std::string> alive, base::TimePoint now, Effects& out) {
  alive_ = std::move(alive);
  settle(now, out);
}

void Replica::on_deadline(std::optional<base::TimePoint> deadline, base::TimePoint now,
                          Effects& out) {
  watch_lease(now);
  deadline_ = deadline;
  settle(now, out);
}

// Without a lease another replica may be elected, and its record may arrive after the next lease. A
// successful proposal shows that none was elected.
void Replica::watch_lease(base::TimePoint now) {
  if (has_lease(now)) return;
  lapsed_ = true;
  confirmed_ = false;
}

void Replica::confirm(const PartitionRecord& taken) {
  confirmed_ = taken.leader == settings_.self && !lapsed_;
}

// Acts on a record that names another leadership than before.
void Replica::adopt(base::TimePoint now, Effects& out) {
  if (lost()) {
    following_.reset();
    return;
  }
  const PartitionRecord& record = *record_;
  if (remembered_ != record) {
    remembered_ = record;
    store(Remember{record}, out);
  }
  const bool known = record.epoch == epoch_ && record.lineage == lineage_;
  const bool newer = heard_epoch_ && record.epoch > *heard_epoch_;
  heard_epoch_ = record.epoch;
  if (known && leading_) return;
  if (!known) {
    if (leading_) step_down();
    following_.reset();
    vacant_since_.reset();
    gone_.reset();
    if (newer) accepts_loss_ = false;
    epoch_ = record.epoch;
    lineage_ = record.lineage;
  }
  if (record.leader != settings_.self) {
    if (!following_) follow(false, now, out);
    return;
  }
  // Either this replica took the epoch, or the former leader handed over. A restarted process does
  // not resume an epoch: it may have sent entries that are not here.
  const bool taken = candidacy_ == Leadership(epoch_, lineage_);
  if (taken || (newer && epoch_ > log_.last().epoch())) lead(now, out);
}

// The coordinator has no record, or has gone back to an earlier one.
bool Replica::lost() const { return !record_ || record_->epoch < known_epoch(); }

std::uint32_t Replica::known_epoch() const {
  return std::max({epoch_, log_.last().epoch(), remembered_ ? remembered_->epoch : 0});
}

bool Replica::in_sync(const ReplicaId& replica) const {
  return record_ && std::ranges::count(record_->in_sync, replica) > 0;
}

bool Replica::enough_in_sync() const {
  return record_ && record_->in_sync.size() >= settings_.min_in_sync;
}

void Replica::propose_record(PartitionRecord record, Effects& out) {
  std::ranges::sort(record.in_sync);
  if (record.leader == settings_.self) candidacy_ = {record.epoch, record.lineage};
  proposal_ = Proposal{std::move(record), version_};
  lapsed_ = false;
  out.proposal = proposal_;
}

// --- this replica's copy ----------------------------------------------------------------------

std::uint64_t Replica::store(Operation operation, Effects& out) {
  out.store.push_back({++sequence_, std::move(operation)});
  return sequence_;
}

// An operation that makes the present log durable.
void Replica::store_log(Operation operation, Effects& out) {
  storing_.emplace_back(store(std::move(operation), out), log_.last());
}

void Replica::begin_epoch(std::uint32_t epoch, std::uint64_t lineage, Effects& out) {
  log_.begin_epoch(epoch, lineage);
  store_log(BeginEpoch{epoch, lineage}, out);
}

void Replica::append(std::vector<LogEntry> entries, bool committed, Effects& out) {
  for (const LogEntry& entry : entries) log_.append(entry);
  if (committed) committed_by_store_ = log_.last();
  store_log(StoreEntries{std::move(entries), committed}, out);
}

void Replica::truncate(Revision to, Effects& out) {
  assert(to >= irrevocable());
  log_.truncate(to);
  stored_ = std::min(stored_, to);
  for (auto& storing : storing_) storing.second = std::min(storing.second, to);
  store(Truncate{to}, out);
}

void Replica::stored(std::uint64_t sequence, base::TimePoint now, Effects& out) {
  const Revision before = stored_;
  for (; !storing_.empty() && storing_.front().first <= sequence; storing_.pop_front()) {
    stored_ = storing_.front().second;
  }
  if (following_ && following_->answered && stored_ != before) {
    send_stored(out);
    following_->last_sent = now;
    commit(std::min(following_->leader_committed, stored_), out);
  }
  settle(now, out);
}

// The last position up to `limit` that is the end of a request.
Revision Replica::whole(Revision limit) const {
  Revision at = committed_, whole = committed_;
  for (const LogEntry* entry = log_.after(at); entry != nullptr && entry->update->revision <= limit;
       entry = log_.after(at)) {
    at = entry->update->revision;
    if (entry->completes) whole = at;
  }
  if (whole != at) return whole;
  for (const EpochEnd& epoch : log_.history()) {  // an epoch begins after whole requests
    if (Revision(epoch.epoch, 0) <= limit) whole = std::max(whole, Revision(epoch.epoch, 0));
  }
  return whole;
}

// Applies the entries that every member has stored.
void Replica::commit(Revision limit, Effects& out) {
  const Revision to = whole(limit);
  if (to <= committed_) return;
  for (const LogEntry* entry = log_.after(committed_);
       entry != nullptr && entry->update->revision <= to; entry = log_.after(committed_)) {
    committed_ = entry->update->revision;
    apply(*entry, out);
    out.committed.push_back(*entry);
  }
  committed_ = to;
  if (committed_ > committed_by_store_) {
    committed_by_store_ = committed_;
    store(Commit{committed_}, out);
  }
  log_.trim(committed_);
}

void Replica::apply(const LogEntry& entry, Effects& out) {
  if (entry.update->splits) return split_off(entry, out);
  if (settings_.retain) {
    if (entry.update->deleted) tombstones_.add(entry.update);
    tree_.apply(entry.update);
  } else {
    tombstones_.reset(entry.update->revision);
  }
  if (entry.request) requests_.apply(*entry.request);
}

// --- the end of every call --------------------------------------------------------------------

void Replica::settle(base::TimePoint now, Effects& out) {
  watch_lease(now);
  watch_leader(now);
  if (leading_) advance(now, out);
  if (heard_ && !proposal_ && !awaited_after_ && now >= blocked_until_) {
    if (leading_) {
      decide_as_leader(now, out);
    } else {
      consider_leading(now, out);
    }
  }
  settled_ = now;
  const std::tuple state(leads(now), epoch_, lineage_);
  if (std::exchange(reported_, state) != state) out.leadership_changed = true;
}

void Replica::tick(base::TimePoint now, Effects& out) {
  if (following_) keep_following(now, out);
  settle(now, out);
}

bool Replica::leads(base::TimePoint now) const {
  const bool leaving = proposal_ && proposal_->record.leader != settings_.self;
  return leading_ && !leaving && has_lease(now) && confirmed_ && caught_up();
}

// Whether every entry that former leaders may have committed is committed.
bool Replica::caught_up() const {
  const LogEntry* next = log_.after(committed_);
  return next == nullptr || next->update->revision > Revision(epoch_, 0);
}

std::uint32_t Replica::epoch() const { return epoch_; }

std::uint64_t Replica::lineage() const { return lineage_; }

void Replica::on_link(const std::string& shard, bool up, base::TimePoint now, Effects& out) {
  if (up) {
    links_.insert(shard);
  } else {
    links_.erase(shard);
  }
  if (following_ && record_->leader.shard == shard) follow(following_->from_nothing, now, out);
  settle(now, out);
}

void Replica::on_follower_gone(const std::string& shard, base::TimePoint now, Effects& out) {
  unled_.erase(shard);
  early_.erase(shard);
  if (const auto follower = followers_.find(shard); follower != followers_.end()) {
    follower->second.open = false;
    follower->second.snapshot.reset();
  }
  settle(now, out);
}

void Replica::on_message(const std::string& from, const wire::ToLeader& message,
                         base::TimePoint now, Effects& out) {
  std::visit([&](const auto& body) { answer(from, body); }, message);
  settle(now, out);
}

void Replica::on_message(const std::string& from, wire::ToFollower message, base::TimePoint now,
                         Effects& out) {
  const auto is_expected = [&](const auto& body) {
    return following_ && from == record_->leader.shard && body.session == following_->session;
  };
  std::visit(
      [&](auto& body) {
        if (is_expected(body)) receive(std::move(body), now, out);
      },
      message);
  settle(now, out);
}

}  // namespace canopy::cluster
