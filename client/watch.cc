#include "client/watch.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace canopy::client {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;

constexpr base::Duration least_pause = 50ms;  // before a refused fetch is sent again; up to twice

}  // namespace

Watch::Watch(WatchId id, native::Subscription subscription, Events& events, std::uint64_t seed)
    : id_(id),
      subscription_(std::move(subscription)),
      topic_(native::topic(subscription_)),
      events_(events),
      random_(static_cast<std::minstd_rand::result_type>(seed)) {}

void Watch::listen(bool flowing, base::TimePoint now) {
  rest();
  state_ = State::listening;
  advanced_ = now;
  retry_at_ = now + mute;
  if (flowing) want(now);
}

void Watch::rest() {
  state_ = State::away;
  seen_.reset();
  gaps_.clear();  // of a stream that is no more
  let_go();
}

// Whatever becomes of a batch, what is missing before it was dropped on the way here. False when
// the stream has begun anew.
bool Watch::see(const native::BatchHeader& header) {
  const std::uint64_t end = header.after + header.count;
  if (!seen_ || seen_->incarnation != header.incarnation) {
    const bool anew = seen_.has_value();
    if (anew && state_ == State::live) events_.missed(id_, std::nullopt);
    gaps_.clear();
    seen_ = Position{header.incarnation, end};
    return !anew;
  }
  if (header.after > seen_->end) {
    const std::uint64_t missing = header.after - seen_->end;
    events_.missed(id_, missing);
    if (gaps_.size() < max_gaps) {
      gaps_.push_back({header.incarnation, seen_->end, header.after});
    } else {
      gaps_.back().saw += missing;
    }
  }
  seen_->end = std::max(seen_->end, end);
  return true;
}

void Watch::want(base::TimePoint at) {
  state_ = State::wanting;
  retry_at_ = at;
}

void Watch::want_later(base::TimePoint now) {
  want(now + least_pause +
       base::Duration(random_() % static_cast<std::uint64_t>(least_pause.count())));
}

void Watch::on_batch(const native::Batch& batch, std::string_view frame, base::TimePoint now) {
  if (state_ == State::away) return;
  const bool continues = see(batch.header);
  if (state_ == State::live) {
    if (take(batch)) return;
    advanced_ = now;
    want(now);
  }
  if (state_ == State::fetching && continues) return hold(frame);
  // The proxy that was asked may be another process by now.
  if (state_ == State::listening || state_ == State::fetching) want(now);
}

void Watch::hold(std::string_view frame) {
  if (held_bytes_ + frame.size() > max_held_bytes) let_go();
  held_.emplace_back(frame);
  held_bytes_ += frame.size();
}

void Watch::let_go() {
  held_.clear();
  held_bytes_ = 0;
}

// False when the batch does not follow on what was taken before.
bool Watch::take(const native::Batch& batch) {
  const native::BatchHeader& header = batch.header;
  if (header.incarnation != position_.incarnation || header.after > position_.end) return false;
  const std::uint64_t had = std::min<std::uint64_t>(position_.end - header.after, header.count);
  for (std::size_t i = had; i < batch.entries.size(); ++i) {
    tell_live(batch.entries[i], !header.revisions.empty());
  }
  position_.end = std::max(position_.end, batch.end());
  take_revisions(header.revisions);
  return true;
}

void Watch::take_revisions(const native::Revisions& revisions) {
  for (const auto& [name, revision] : revisions) {
    auto found = partitions_.find(name);
    if (found == partitions_.end()) {
      if (partitions_.size() >= native::max_partitions) continue;
      found = partitions_.try_emplace(name).first;
    }
    Partition& partition = found->second;
    partition.known = std::max(partition.known, revision);
    partition.told = std::max(partition.told, revision);
  }
}

native::Fetch Watch::fetch(std::uint64_t request, base::TimePoint now) {
  assert(wants(now));
  state_ = State::fetching;
  let_go();
  request_ = request;
  ++fetches_;
  next_chunk_ = 0;
  open_.reset();
  full_ = false;
  chunk_due_ = now + chunk_silence;

  native::Fetch fetch{.request = request,
                      .topic = topic_,
                      .subtree = subscription_.subtree,
                      .known = {},
                      .gap = {},
                      .credit = credit};
  for (const auto& [name, partition] : partitions_) {
    if (partition.known.value() > 0) fetch.known.push_back({name, partition.known});
  }
  if (!gaps_.empty()) {
    fetch.gap = gaps_.front();
    gaps_.pop_front();
  }
  return fetch;
}

bool Watch::fits(const native::ChunkHeader& header) const {
  if (header.number != next_chunk_) return false;
  if (open_) {
    return header.partition == open_->partition && header.mode == open_->mode &&
           header.revision == open_->revision;
  }
  return partitions_.contains(header.partition) || partitions_.size() < native::max_partitions;
}

bool Watch::is_stale(const native::ChunkHeader& header) const {
  const auto found = partitions_.find(header.partition);
  return found != partitions_.end() && header.revision < found->second.told;
}

void Watch::doubt_what_was_told(const std::string& name, base::TimePoint now) {
  if (!stale_since_) stale_since_ = now;
  if (now - *stale_since_ < doubt) return;
  stale_since_.reset();
  forget_revisions(name);
}

// What is held of the partition is told anew, whatever the revisions to come.
void Watch::forget_revisions(const std::string& name) {
  const auto partition = partitions_.find(name);
  if (partition == partitions_.end()) return;
  partition->second = {};
  for (auto& [key, held] : entries_) {
    if (owner(key) == partition) held.revision = {};
  }
}

// The partition has a new history, unless the watch has joined it in this incarnation of the
// stream.
bool Watch::on_void(const native::ChunkHeader& header, base::TimePoint now) {
  if (header.number != next_chunk_ || open_ || header.more != More::next_partition) {
    want_later(now);
    return false;
  }
  ++next_chunk_;
  advanced_ = now;
  chunk_due_ = now + chunk_silence;
  if (header.incarnation != position_.incarnation) forget_revisions(header.partition);
  return true;
}

bool Watch::on_chunk(const native::Chunk& chunk, base::TimePoint now) {
  const native::ChunkHeader& header = chunk.header;
  if (state_ != State::fetching) return false;
  if (header.revision == keyspace::Revision()) return on_void(header, now);
  const bool stale = is_stale(header);
  if (stale) doubt_what_was_told(header.partition, now);
  if (stale || !fits(header)) {
    want_later(now);
    return false;
  }
  ++next_chunk_;
  advanced_ = now;
  chunk_due_ = now + chunk_silence;
  if (!open_) begin_partition(header);
  for (const native::Entry& entry : chunk.entries) tell_fetched(entry);
  if (header.more != More::same_partition) end_partition(header);
  if (header.more == More::last) end_fetch(header, now);
  return header.more != More::last;
}

void Watch::begin_partition(const native::ChunkHeader& header) {
  open_ = header;
  partitions_[header.partition].told = header.revision;
  if (header.mode == Mode::full) full_ = true;
}

void Watch::end_partition(const native::ChunkHeader& header) {
  if (header.mode == Mode::full) drop_unseen(header);
  Partition& partition = partitions_.find(header.partition)->second;
  partition.known = partition.told = header.revision;
  open_.reset();
}

// What a whole partition no longer holds.
void Watch::drop_unseen(const native::ChunkHeader& header) {
  const auto partition = partitions_.find(header.partition);
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->second.fetch == fetches_ || owner(at->first) != partition) {
      ++at;
      continue;
    }
    auto gone = entries_.extract(at++);
    events_.changed(
        id_, {.key = gone.key(), .revision = header.revision, .deleted = true, .live = false});
  }
}

void Watch::end_fetch(const native::ChunkHeader& header, base::TimePoint now) {
  position_ = {header.incarnation, header.position};
  state_ = State::live;
  stale_since_.reset();
  const auto how = !synced_ ? Synced::How::snapshot
                   : full_  ? Synced::How::full
                            : Synced::How::changes;
  synced_ = true;
  events_.synced(id_, {.how = how});
  take_held(now);
}

void Watch::take_held(base::TimePoint now) {
  std::deque<std::string> frames;
  frames.swap(held_);
  held_bytes_ = 0;
  native::Batch batch;
  // What an earlier incarnation still sent came before the answer.
  bool joined = false;
  for (const std::string& frame : frames) {
    if (!native::decode_stream(frame, batch)) continue;  // it has been read once already
    joined = joined || batch.header.incarnation == position_.incarnation;
    if (!joined || take(batch)) continue;
    want(now);
    break;
  }
  // A hole that the answer covers is still to be told to the proxy, which counts them.
  if (state_ == State::live && !gaps_.empty()) want(now);
}

void Watch::on_refusal(wire::Fault fault, base::TimePoint now) {
  if (state_ != State::fetching) return;
  if (fault == wire::Fault::not_subscribed) {
    state_ = State::listening;  // the heartbeat that answers a subscription is on its way
    retry_at_ = now + mute;
  } else {
    want_later(now);
  }
}

void Watch::tick(base::TimePoint now) {
  const bool asks = state_ == State::listening && now >= retry_at_;
  if (asks || (state_ == State::fetching && now >= chunk_due_)) want(now);
}

void Watch::forgive(base::Duration sleep) {
  if (state_ == State::listening) retry_at_ += sleep;
  chunk_due_ += sleep;
  advanced_ += sleep;
  if (stale_since_) *stale_since_ += sleep;
}

void Watch::tell_live(const native::Entry& entry, bool last_of_flush) {
  if (!native::covers(subscription_.subtree, entry.key)) return;
  const auto found = entries_.find(entry.key);
  const bool held = found != entries_.end();
  if (held ? entry.revision <= found->second.revision : entry.deleted) return;
  // What a flush has told by its end is said there for all of it.
  if (!last_of_flush) {
    if (const auto partition = owner(entry.key); partition != partitions_.end()) {
      partition->second.told = std::max(partition->second.told, entry.revision);
    }
  }
  if (entry.deleted) {
    entries_.erase(found);
  } else if (held) {
    found->second.revision = entry.revision;
  } else {
    entries_.emplace(entry.key, Held{entry.revision, 0});
  }
  tell(entry, true);
}

void Watch::tell_fetched(const native::Entry& entry) {
  if (!native::covers(subscription_.subtree, entry.key)) return;
  if (entry.deleted) {
    const auto found = entries_.find(entry.key);
    if (found == entries_.end() || entry.revision <= found->second.revision) return;
    entries_.erase(found);
  } else {
    Held& held = entries_.try_emplace(std::string(entry.key)).first->second;
    held.fetch = fetches_;
    // All that a partition holds cannot be older than what was told of it before, but for a new
    // history.
    const bool known = open_->mode == Mode::full ? entry.revision == held.revision
                                                 : entry.revision <= held.revision;
    if (known) return;
    held.revision = entry.revision;
  }
  tell(entry, false);
}

void Watch::tell(const native::Entry& entry, bool live) {
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
