#include "client/watch.h"

#include <algorithm>

namespace canopy::client {

namespace native = wire::native;

void Watch::start(base::TimePoint now) {
  advanced_ = now;
  restart(now);
}

void Watch::restart(base::TimePoint at) {
  state_ = State::idle;
  due_ = at;
}

native::Watch Watch::ask(std::uint64_t request, base::TimePoint now) {
  state_ = State::behind;
  request_ = request;
  // The turn of one among many comes late; ticks alone make it later by less.
  if (now - due_ > std::chrono::seconds(1)) advanced_ += now - due_;
  begin_round();
  native::Watch watch{.request = request, .subscription = subscription_};
  for (const auto& [name, partition] : partitions_) {
    if (partition.known.value() > 0) watch.known.push_back({name, partition.known});
  }
  return watch;
}

void Watch::begin_round() {
  ++round_;
  open_.reset();
}

// A caught-up watch continues at the position that caught_up named: a batch may begin before it.
bool Watch::on_batch(const native::Batch& batch) {
  const native::BatchHeader& header = batch.header;
  if (header.after > position_) {
    events_.missed(id_, header.after - position_);
    return false;
  }
  for (std::size_t i = position_ - header.after; i < batch.entries.size(); ++i) {
    report_live(batch.entries[i], !header.revisions.empty());
  }
  position_ = std::max(position_, batch.end());
  apply_revisions(header.revisions);
  return true;
}

void Watch::apply_revisions(const native::Revisions& revisions) {
  for (const auto& [name, revision] : revisions) {
    auto found = partitions_.find(name);
    if (found == partitions_.end()) {
      if (partitions_.size() >= native::max_partitions) continue;
      found = partitions_.try_emplace(name).first;
    }
    Partition& partition = found->second;
    partition.known = std::max(partition.known, revision);
    partition.reported = std::max(partition.reported, revision);
  }
}

void Watch::on_gap(const native::Gap& gap, base::TimePoint now) {
  state_ = State::behind;
  advanced_ = now;
  begin_round();
  if (gap.missed != 0u) events_.missed(id_, gap.missed);
}

bool Watch::on_caught_up(const native::CaughtUp& caught_up, base::TimePoint now) {
  if (live() || open_) return false;
  state_ = State::live;
  stream_ = caught_up.stream;
  position_ = caught_up.position;
  advanced_ = now;
  stale_since_.reset();
  const auto how = !synced_ ? Synced::How::snapshot
                   : full_  ? Synced::How::full
                            : Synced::How::changes;
  synced_ = true;
  full_ = false;
  events_.synced(id_, {.how = how});
  return true;
}

bool Watch::fits(const native::ChunkHeader& header) const {
  if (live()) return false;
  if (open_) {
    return header.partition == open_->partition && header.mode == open_->mode &&
           header.revision == open_->revision;
  }
  return partitions_.contains(header.partition) || partitions_.size() < native::max_partitions;
}

bool Watch::is_stale(const native::ChunkHeader& header) const {
  const auto found = partitions_.find(header.partition);
  return found != partitions_.end() && header.revision < found->second.reported;
}

void Watch::check_stale(const std::string& name, base::TimePoint now) {
  if (!stale_since_) stale_since_ = now;
  if (now - *stale_since_ < stale_timeout) return;
  stale_since_.reset();
  forget_revisions(name);
}

// Every entry of the partition that arrives is reported again, whatever its revision.
void Watch::forget_revisions(const std::string& name) {
  const auto partition = partitions_.find(name);
  if (partition == partitions_.end()) return;
  partition->second = {};
  for (auto& [key, held] : entries_) {
    if (owner(key) == partition) held.revision = {};
  }
}

bool Watch::on_chunk(const native::Chunk& chunk, base::TimePoint now) {
  const native::ChunkHeader& header = chunk.header;
  if (!fits(header)) return false;
  if (header.revision == keyspace::Revision()) {  // the partition has a new history
    if (open_ || header.more != More::next_partition) return false;
    advanced_ = now;
    forget_revisions(header.partition);
    return true;
  }
  if (is_stale(header)) {
    check_stale(header.partition, now);
    return false;
  }
  advanced_ = now;
  if (!open_) begin_partition(header);
  for (const native::Entry& entry : chunk.entries) report_chunk(entry);
  if (header.more != More::same_partition) end_partition(header);
  if (header.more == More::last) begin_round();
  return true;
}

void Watch::begin_partition(const native::ChunkHeader& header) {
  open_ = header;
  partitions_[header.partition].reported = header.revision;
  if (header.mode == Mode::full) full_ = true;
}

void Watch::end_partition(const native::ChunkHeader& header) {
  if (header.mode == Mode::full) drop_unseen(header);
  Partition& partition = partitions_.find(header.partition)->second;
  partition.known = partition.reported = header.revision;
  open_.reset();
}

// Reports as deleted what a full partition no longer holds.
void Watch::drop_unseen(const native::ChunkHeader& header) {
  const auto partition = partitions_.find(header.partition);
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->second.round == round_ || owner(at->first) != partition) {
      ++at;
      continue;
    }
    auto gone = entries_.extract(at++);
    events_.changed(
        id_, {.key = gone.key(), .revision = header.revision, .deleted = true, .live = false});
  }
}

void Watch::postpone(base::Duration sleep) {
  advanced_ += sleep;
  if (stale_since_) *stale_since_ += sleep;
}

bool Watch::stuck(base::TimePoint progress, base::TimePoint now) const {
  switch (state_) {
    case State::idle: return std::min(now, due_) - advanced_ > progress_timeout;
    case State::behind: return now - std::max(advanced_, progress) > progress_timeout;
    case State::live: break;
  }
  return false;
}

void Watch::report_live(const native::Entry& entry, bool last_of_flush) {
  if (!native::covers(subscription_.subtree, entry.key)) return;
  const auto found = entries_.find(entry.key);
  const bool held = found != entries_.end();
  if (held ? entry.revision <= found->second.revision : entry.deleted) return;
  // A flush of several batches names its revisions in the last one.
  if (!last_of_flush) {
    if (const auto partition = owner(entry.key); partition != partitions_.end()) {
      partition->second.reported = std::max(partition->second.reported, entry.revision);
    }
  }
  if (entry.deleted) {
    entries_.erase(found);
  } else if (held) {
    found->second.revision = entry.revision;
  } else {
    entries_.emplace(entry.key, Held{entry.revision, 0});
  }
  report(entry, true);
}

void Watch::report_chunk(const native::Entry& entry) {
  if (!native::covers(subscription_.subtree, entry.key)) return;
  if (entry.deleted) {
    const auto found = entries_.find(entry.key);
    if (found == entries_.end() || entry.revision <= found->second.revision) return;
    entries_.erase(found);
  } else {
    Held& held = entries_.try_emplace(std::string(entry.key)).first->second;
    held.round = round_;
    // A full partition is never older than what was reported of it, except in a new history.
    const bool known = open_->mode == Mode::full ? entry.revision == held.revision
                                                 : entry.revision <= held.revision;
    if (known) return;
    held.revision = entry.revision;
  }
  report(entry, false);
}

void Watch::report(const native::Entry& entry, bool live) {
  events_.changed(id_, {.key = entry.key,
                        .value = entry.value,
                        .properties = entry.properties,
                        .revision = entry.revision,
                        .expires_at_ms = entry.expires_at_ms,
                        .deleted = entry.deleted,
                        .live = live});
}

// The longest partition that is a prefix of the key.
Watch::Partitions::iterator Watch::owner(std::string_view key) {
  for (std::size_t length = key.size() + 1; length-- > 0;) {
    if (length > 0 && key[length - 1] != '/') continue;
    if (const auto found = partitions_.find(key.substr(0, length)); found != partitions_.end()) {
      return found;
    }
  }
  return partitions_.end();
}

}  // namespace canopy::client
