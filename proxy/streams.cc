#include "proxy/streams.h"

#include <algorithm>

#include "core/base/limits.h"

namespace canopy::proxy {

namespace native = wire::native;

namespace {

std::size_t cost(const keyspace::Update& update) {
  return update.bytes() + Streams::latest_overhead;
}

}  // namespace

bool Streams::add(const native::Subscription& subscription, MirrorLease lease) {
  std::string topic = native::topic(subscription);
  auto found = by_topic_.find(topic);
  if (found == by_topic_.end()) {
    if (by_topic_.size() >= max_streams) return false;
    auto stream = std::make_unique<Stream>(
        Stream{.subscription = subscription, .topic = topic, .incarnation = next_incarnation_++});
    stream->lease = std::move(lease);
    for (const std::size_t partition : partitions_.covering(subscription.subtree)) {
      stream->said.push_back({partition, std::nullopt});
    }
    by_subtree_[subscription.subtree].push_back(stream.get());
    stream->heartbeat_at = paced_at_ + heartbeat_period;
    stream->turn = heartbeats_.insert(heartbeats_.end(), stream.get());
    found = by_topic_.emplace(std::move(topic), std::move(stream)).first;
  }
  Stream& stream = *found->second;
  ++stream.subscribers;
  stream.greet = true;
  mark(stream);
  return true;
}

void Streams::remove(const native::Subscription& subscription) {
  const auto found = by_topic_.find(native::topic(subscription));
  if (found == by_topic_.end() || --found->second->subscribers > 0) return;
  Stream* stream = found->second.get();
  const auto group = by_subtree_.find(subscription.subtree);
  std::erase(group->second, stream);
  if (group->second.empty()) by_subtree_.erase(group);
  if (stream->dirty) std::erase(dirty_, stream);
  heartbeats_.erase(stream->turn);
  forget_gathered(*stream);
  by_topic_.erase(found);
}

void Streams::forget_gathered(Stream& stream) {
  if (!stream.latest.empty()) std::erase(latest_, &stream);
  stream.bodies.clear();
  latest_bytes_ -= std::exchange(stream.latest_bytes, 0);
  stream.latest_index.clear();
  stream.latest.clear();
}

void Streams::begin(std::uint64_t first_incarnation, base::TimePoint now, const Send& send) {
  flush(now, send);
  next_incarnation_ = first_incarnation;
  for (auto& [topic, stream] : by_topic_) restart(*stream);
}

void Streams::renew(std::size_t partition) {
  for (auto& [topic, stream] : by_topic_) {
    if (std::ranges::find(stream->said, partition, &Said::partition) != stream->said.end()) {
      restart(*stream);
    }
  }
}

void Streams::restart(Stream& stream) {
  stream.incarnation = next_incarnation_++;
  stream.position = stream.sent = 0;
  forget_gathered(stream);
  stream.runs.clear();
  stream.waits_since.reset();
  stream.greet = true;
  mark(stream);
}

void Streams::append(const keyspace::UpdatePtr& update, std::size_t shard) {
  if (by_subtree_.empty()) return;
  encoded_.clear();
  const std::string_view key = update->key;
  const auto look_up = [&](std::string_view subtree) {
    if (const auto group = by_subtree_.find(subtree); group != by_subtree_.end()) {
      append_to(group->second, update, shard);
    }
  };
  look_up({});
  for (std::size_t end = 1; end <= key.size(); ++end) {
    if (end == key.size() || key[end - 1] == '/') look_up(key.substr(0, end));
  }
}

void Streams::append_to(const Group& group, const keyspace::UpdatePtr& update, std::size_t shard) {
  for (Stream* stream : group) {
    if (stream->subscription.latest_ms > 0) {
      conflate(*stream, update, shard);
      continue;
    }
    if (encoded_.empty()) native::append_entry(encoded_, *update);
    gather(*stream, encoded_, shard);
    mark(*stream);
  }
}

void Streams::conflate(Stream& stream, const keyspace::UpdatePtr& update, std::size_t shard) {
  const auto known = stream.latest_index.find(update->key);
  const std::size_t before =
      known == stream.latest_index.end() ? 0 : cost(*stream.latest[known->second].first);
  stream.latest_bytes += cost(*update) - before;
  latest_bytes_ += cost(*update) - before;
  if (known == stream.latest_index.end()) {
    if (stream.latest.empty()) latest_.push_back(&stream);
    stream.latest.emplace_back(update, shard);
    stream.latest_index.emplace(update->key, stream.latest.size() - 1);
    return;
  }
  // The index looks into the key that is about to go.
  const std::size_t at = known->second;
  stream.latest_index.erase(known);
  stream.latest[at] = {update, shard};
  stream.latest_index.emplace(update->key, at);
  ++conflated_;
}

void Streams::gather(Stream& stream, std::string_view entry, std::size_t shard) {
  if (stream.bodies.empty() || stream.bodies.back().count == native::max_entries ||
      stream.bodies.back().entries.size() + entry.size() > base::max_chunk_bytes) {
    stream.bodies.emplace_back();
  }
  Body& body = stream.bodies.back();
  body.entries += entry;
  gathered_bytes_ += entry.size();
  ++body.count;
  ++stream.position;
  if (!stream.runs.empty() && stream.runs.back().shard == shard) {
    stream.runs.back().end = stream.position;
  } else {
    if (stream.runs.size() == max_runs) stream.runs.pop_front();
    stream.runs.push_back({stream.position, shard});
  }
}

void Streams::mark(Stream& stream) {
  if (std::exchange(stream.dirty, true)) return;
  dirty_.push_back(&stream);
}

void Streams::flush(base::TimePoint now, const Send& send) {
  flushing_.swap(dirty_);
  for (Stream* stream : flushing_) {
    stream->dirty = false;
    send_all(*stream, now, send);
  }
  flushing_.clear();
  // What waits for the room of one client is not counted: it must not hold up the others.
  gathered_bytes_ = 0;
}

void Streams::gather_latest(Stream& stream) {
  for (const auto& [update, shard] : stream.latest) {
    encoded_.clear();
    native::append_entry(encoded_, *update);
    gather(stream, encoded_, shard);
  }
  stream.latest_index.clear();
  stream.latest.clear();
  latest_bytes_ -= std::exchange(stream.latest_bytes, 0);
}

void Streams::flush_latest(base::TimePoint now, const Send& send) {
  const std::size_t gathered = gathered_bytes_;
  const bool too_much = latest_bytes_ > max_latest_bytes;
  std::erase_if(latest_, [&](Stream* stream) {
    const auto period = std::chrono::milliseconds(stream->subscription.latest_ms);
    if (now - stream->last_sent < period && !too_much) return false;
    gather_latest(*stream);
    send_all(*stream, now, send);
    return true;
  });
  gathered_bytes_ = gathered;
}

bool Streams::heartbeat(base::TimePoint now, const Send& send) {
  const auto streams = static_cast<std::int64_t>(heartbeats_.size());
  const auto at_once = std::max(heartbeats_at_once * heartbeat_spread.count(),
                                streams * (heartbeat_spread / 10).count());
  pace_ = std::min(pace_ + streams * std::min(now - paced_at_, heartbeat_period).count(), at_once);
  paced_at_ = now;
  while (!heartbeats_.empty() && heartbeats_.front()->heartbeat_at <= now) {
    Stream& stream = *heartbeats_.front();
    if (now - stream.last_sent >= idle && stream.latest.empty()) {
      if (pace_ < heartbeat_spread.count()) return true;
      pace_ -= heartbeat_spread.count();
      stream.greet = true;
      send_all(stream, now, send);
    }
    stream.heartbeat_at = now + heartbeat_period;
    heartbeats_.splice(heartbeats_.end(), heartbeats_, stream.turn);
  }
  return false;
}

std::optional<base::TimePoint> Streams::next_due() const {
  std::optional<base::TimePoint> due;
  for (const Stream* stream : latest_) {
    const auto at = stream->last_sent + std::chrono::milliseconds(stream->subscription.latest_ms);
    if (!due || at < *due) due = at;
  }
  return due;
}

// The revisions go with the last batch: only then has the client all that they stand for. They are
// left out while a `latest` stream holds updates back.
void Streams::send_all(Stream& stream, base::TimePoint now, const Send& send) {
  const bool greet = std::exchange(stream.greet, false);
  if (stream.bodies.empty() && !greet) return;
  if (stream.bodies.empty()) stream.bodies.emplace_back();
  // Of several subscribers one would hold up the others.
  const bool may_wait = stream.subscribers == 1 && stream.bodies.size() == 1 &&
                        now - stream.waits_since.value_or(now) < patience;
  while (!stream.bodies.empty()) {
    Body body = std::move(stream.bodies.front());
    stream.bodies.pop_front();
    const bool last = stream.bodies.empty() && stream.latest.empty();
    if (!send_body(stream, body, last ? news(stream, greet) : native::Revisions{}, may_wait,
                   send)) {
      stream.bodies.push_front(std::move(body));
      stream.greet = true;  // what it would have said is to be said again
      if (!stream.waits_since) stream.waits_since = now;
      return mark(stream);
    }
  }
  stream.waits_since.reset();
  stream.last_sent = now;
}

bool Streams::send_body(Stream& stream, const Body& body, native::Revisions revisions,
                        bool may_wait, const Send& send) {
  const native::BatchHeader header{.incarnation = stream.incarnation,
                                   .after = stream.sent,
                                   .count = body.count,
                                   .revisions = std::move(revisions)};
  Sending sending{.updates = body.count, .subscribers = stream.subscribers, .may_wait = may_wait};
  const std::size_t size = body.entries.size();
  if (stream.subscription.lz4 && stream.compression.worth_trying(size, stream.subscribers)) {
    const std::string packed = native::compress(body.entries);
    sending.compressed = stream.compression.tried(size, packed.size(), stream.subscribers);
    if (sending.compressed)
      sending.frame = native::encode_batch(stream.topic, header, packed, size);
  }
  if (!sending.compressed) {
    sending.frame = native::encode_batch(stream.topic, header, body.entries);
  }
  if (!send(std::move(sending))) return false;
  stream.sent += body.count;
  return true;
}

// What has changed since it was last said to this stream; or all of it.
native::Revisions Streams::news(Stream& stream, bool all) const {
  native::Revisions revisions;
  for (Said& said : stream.said) {
    const cluster::Mirror* mirror = partitions_.mirror(said.partition);
    if (mirror == nullptr || !mirror->ready()) continue;
    const keyspace::Revision revision = mirror->revision();
    if (!all && revision == said.revision) continue;
    said.revision = revision;
    revisions.push_back({partitions_.subtree(said.partition), revision});
  }
  return revisions;
}

void Streams::move(std::uint32_t within_ms, const Send& send) {
  for (const auto& [topic, stream] : by_topic_) {
    send({.frame = native::encode_move(topic, within_ms), .subscribers = stream->subscribers});
  }
}

const Streams::Stream* Streams::find(const native::Subscription& subscription) const {
  const auto found = by_topic_.find(native::topic(subscription));
  return found == by_topic_.end() ? nullptr : found->second.get();
}

std::optional<Streams::Cut> Streams::cut(const native::Subscription& subscription) const {
  const Stream* stream = find(subscription);
  if (stream == nullptr) return std::nullopt;
  return Cut{.incarnation = stream->incarnation, .position = stream->position};
}

std::map<std::size_t, std::uint64_t> Streams::missed(const native::Subscription& subscription,
                                                     const native::Gap& gap) const {
  std::map<std::size_t, std::uint64_t> result;
  const Stream* stream = find(subscription);
  if (stream == nullptr || stream->incarnation != gap.incarnation || gap.saw > stream->position) {
    return result;
  }
  std::uint64_t position = gap.had;
  for (auto run = std::ranges::upper_bound(stream->runs, position, {}, &Run::end);
       run != stream->runs.end() && position < gap.saw; ++run) {
    const std::uint64_t end = std::min(run->end, gap.saw);
    result[run->shard] += end - position;
    position = end;
  }
  return result;
}

}  // namespace canopy::proxy
