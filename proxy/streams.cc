#include "proxy/streams.h"

#include <algorithm>
#include <array>

#include "core/base/limits.h"
#include "core/zmtp/frame.h"

namespace canopy::proxy {

namespace native = wire::native;

namespace {

std::size_t cost(const keyspace::Update& update) {
  return update.bytes() + Streams::latest_overhead;
}

}  // namespace

bool Streams::subscribe(const native::Subscription& subscription, Watcher& watcher) {
  const auto found = by_subscription_.find(subscription);
  if (found == by_subscription_.end() && by_subscription_.size() >= max_streams) return false;
  Stream* const stream =
      found == by_subscription_.end() ? begin_stream(subscription) : found->second.get();
  watcher.stream_ = stream;
  watcher.slot_ = stream->watchers.size();
  stream->watchers.push_back(&watcher);
  return true;
}

Streams::Stream* Streams::begin_stream(const native::Subscription& subscription) {
  auto owned =
      std::make_unique<Stream>(Stream{.subscription = subscription, .number = next_number_++});
  Stream* const stream = owned.get();
  stream->lease = lease_(subscription.subtree);
  for (const std::size_t partition : partitions_.covering(subscription.subtree)) {
    stream->reached.push_back({partition, std::nullopt});
  }
  by_subtree_[subscription.subtree].push_back(stream);
  stream->heartbeat_at = paced_at_ + heartbeat_period;
  stream->turn = heartbeats_.insert(heartbeats_.end(), stream);
  by_subscription_.emplace(subscription, std::move(owned));
  return stream;
}

void Streams::unsubscribe(Watcher& watcher) {
  Stream* const stream = std::exchange(watcher.stream_, nullptr);
  if (stream == nullptr) return;
  Watcher* const last = stream->watchers.back();
  stream->watchers[watcher.slot_] = last;
  last->slot_ = watcher.slot_;
  stream->watchers.pop_back();
  if (stream->watchers.empty()) end_stream(*stream);
}

void Streams::end_stream(Stream& stream) {
  const auto group = by_subtree_.find(stream.subscription.subtree);
  std::erase(group->second, &stream);
  if (group->second.empty()) by_subtree_.erase(group);
  heartbeats_.erase(stream.turn);
  forget_gathered(stream);
  by_subscription_.erase(by_subscription_.find(stream.subscription));
}

void Streams::forget_gathered(Stream& stream) {
  if (std::exchange(stream.dirty, false)) std::erase(dirty_, &stream);
  for (const Body& body : stream.bodies) gathered_bytes_ -= body.entries.size();
  stream.bodies.clear();
  if (!stream.latest.empty()) std::erase(latest_, &stream);
  latest_bytes_ -= std::exchange(stream.latest_bytes, 0);
  stream.latest_index.clear();
  stream.latest.clear();
}

void Streams::begin(std::uint64_t first_number, base::TimePoint now) {
  while (flush(now)) continue;
  next_number_ = first_number;
  for (auto& [subscription, stream] : by_subscription_) restart(*stream, std::nullopt);
}

void Streams::renew(std::size_t partition) {
  for (auto& [subscription, stream] : by_subscription_) {
    if (std::ranges::find(stream->reached, partition, &Reached::partition) !=
        stream->reached.end()) {
      restart(*stream, partition);
    }
  }
}

void Streams::divide(std::size_t whole, std::size_t part, keyspace::Revision known,
                     base::TimePoint now) {
  for (auto& [subscription, owned] : by_subscription_) {
    Stream& stream = *owned;
    const auto covering = partitions_.covering(subscription.subtree);
    if (std::ranges::find(covering, part) == covering.end()) continue;
    if (!stream.latest.empty()) {
      gather_latest(stream);
      std::erase(latest_, &stream);
    }
    send_gathered(stream, now);
    if (std::ranges::find(covering, whole) == covering.end()) {
      std::erase_if(stream.reached, [&](const Reached& each) { return each.partition == whole; });
    }
    stream.reached.push_back({part, std::nullopt});
    if (known == keyspace::Revision()) continue;
    send(stream, {}, {{partitions_.subtree(part), known}}, true);
    stream.reached.back().revision = known;
  }
}

void Streams::restart(Stream& stream, std::optional<std::size_t> renewed) {
  for (Watcher* watcher : stream.watchers) watcher->on_restart(renewed);
  stream.number = next_number_++;
  stream.position = stream.sent = 0;
  forget_gathered(stream);
  stream.runs.clear();
  for (Reached& each : stream.reached) each.revision.reset();
}

void Streams::append(const keyspace::UpdatePtr& update, std::size_t shard) {
  if (by_subtree_.empty()) return;
  encoded_.clear();
  const std::string_view key = update->key;
  bool gathered = false;
  const auto look_up = [&](std::string_view subtree) {
    if (const auto group = by_subtree_.find(subtree); group != by_subtree_.end()) {
      gathered |= append_to(group->second, update, shard);
    }
  };
  look_up({});
  for (std::size_t end = 1; end <= key.size(); ++end) {
    if (end == key.size() || key[end - 1] == '/') look_up(key.substr(0, end));
  }
  if (gathered) ++gathered_;
}

// True when at least one stream gathered the update without holding it back.
bool Streams::append_to(const Group& group, const keyspace::UpdatePtr& update, std::size_t shard) {
  bool gathered = false;
  for (Stream* stream : group) {
    if (stream->subscription.latest_ms > 0) {
      conflate(*stream, update, shard);
      continue;
    }
    if (encoded_.empty()) native::append_entry(encoded_, *update);
    gather(*stream, encoded_, shard);
    gathered = true;
    if (!std::exchange(stream->dirty, true)) dirty_.push_back(stream);
  }
  return gathered;
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
  // The index holds a view of the key that this assignment frees.
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

bool Streams::flush(base::TimePoint now) {
  for (std::size_t handed = 0; !dirty_.empty();) {
    if (handed >= hand_overs_per_flush) return true;
    Stream& stream = *dirty_.front();
    dirty_.pop_front();
    stream.dirty = false;
    handed += send_gathered(stream, now);
  }
  gathered_ = 0;
  return false;
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

void Streams::flush_latest(base::TimePoint now) {
  const bool too_much = latest_bytes_ > max_latest_bytes;
  std::erase_if(latest_, [&](Stream* stream) {
    const auto period = std::chrono::milliseconds(stream->subscription.latest_ms);
    if (now - stream->last_sent < period && !too_much) return false;
    gather_latest(*stream);
    send_gathered(*stream, now);
    return true;
  });
}

std::optional<base::TimePoint> Streams::next_due() const {
  std::optional<base::TimePoint> due;
  for (const Stream* stream : latest_) {
    const auto at = stream->last_sent + std::chrono::milliseconds(stream->subscription.latest_ms);
    if (!due || at < *due) due = at;
  }
  return due;
}

bool Streams::heartbeat(base::TimePoint now) {
  const auto streams = static_cast<std::int64_t>(heartbeats_.size());
  const auto at_once = std::max(heartbeats_at_once * heartbeat_spread.count(),
                                streams * (heartbeat_spread / 10).count());
  pace_ = std::min(pace_ + streams * std::min(now - paced_at_, heartbeat_period).count(), at_once);
  paced_at_ = now;
  while (!heartbeats_.empty() && heartbeats_.front()->heartbeat_at <= now) {
    Stream& stream = *heartbeats_.front();
    if (now - stream.last_sent >= idle && stream.bodies.empty() && stream.latest.empty()) {
      if (pace_ < heartbeat_spread.count()) return true;
      pace_ -= heartbeat_spread.count();
      send_heartbeat(stream, now);
    }
    stream.heartbeat_at = now + heartbeat_period;
    heartbeats_.splice(heartbeats_.end(), heartbeats_, stream.turn);
  }
  return false;
}

// Only the last batch carries revisions: the client has every update up to them only then. A
// `latest` stream that holds updates back sends none.
std::size_t Streams::send_gathered(Stream& stream, base::TimePoint now) {
  const std::size_t handed = stream.bodies.size() * stream.watchers.size();
  while (!stream.bodies.empty()) {
    const Body body = std::move(stream.bodies.front());
    stream.bodies.pop_front();
    gathered_bytes_ -= body.entries.size();
    if (stream.bodies.empty() && stream.latest.empty()) {
      send_with_revisions(stream, body, false);
    } else {
      send(stream, body, {});
    }
  }
  stream.last_sent = now;
  return handed;
}

void Streams::send_heartbeat(Stream& stream, base::TimePoint now) {
  send_with_revisions(stream, {}, true);
  stream.last_sent = now;
}

void Streams::send(Stream& stream, const Body& body, const native::Revisions& revisions,
                   bool names) {
  const native::BatchHeader header{
      .stream = stream.number, .after = stream.sent, .count = body.count, .revisions = revisions};
  const std::size_t size = body.entries.size();
  const std::size_t watchers = stream.watchers.size();
  std::string frame;
  if (stream.subscription.lz4 && stream.compression.worth_trying(size, watchers)) {
    const std::string packed = native::compress(body.entries);
    if (stream.compression.tried(size, packed.size(), watchers)) {
      frame = native::encode_batch(header, packed, size);
    }
  }
  ++(frame.empty() ? counts_.plain : counts_.compressed);
  if (frame.empty()) frame = native::encode_batch(header, body.entries);
  std::string message;
  message.reserve(frame.size() + 16);
  zmtp::append_message(message, std::array<std::string_view, 1>{frame});
  const Batch batch{.message = std::make_shared<const std::string>(std::move(message)),
                    .serial = ++last_serial_,
                    .after = stream.sent,
                    .count = body.count,
                    .names = names};
  stream.sent += body.count;
  for (Watcher* watcher : stream.watchers) watcher->on_batch(batch);
}

// Adds the revisions of all readable partitions, or only the changed ones. They count as sent after
// the batch: a watcher without room for the batch still has the earlier ones.
void Streams::send_with_revisions(Stream& stream, const Body& body, bool all) {
  std::vector<std::pair<Reached*, keyspace::Revision>> news;
  native::Revisions revisions;
  for (Reached& each : stream.reached) {
    const cluster::Mirror* mirror = partitions_.mirror(each.partition);
    if (mirror == nullptr || !mirror->ready()) continue;
    if (!all && mirror->revision() == each.revision) continue;
    news.emplace_back(&each, mirror->revision());
    revisions.push_back({partitions_.subtree(each.partition), mirror->revision()});
  }
  send(stream, body, revisions);
  for (const auto& [each, revision] : news) each->revision = revision;
}

// A client that has every batch has the present revisions of the mirrors, unless updates are
// gathered. So revisions that the stream has not sent yet count as sent.
Streams::Place Streams::cut(const Watcher& watcher) {
  Stream& stream = *watcher.stream_;
  if (stream.bodies.empty() && stream.latest.empty()) {
    for (Reached& each : stream.reached) {
      const cluster::Mirror* mirror = partitions_.mirror(each.partition);
      if (!each.revision && mirror != nullptr && mirror->ready()) {
        each.revision = mirror->revision();
      }
    }
  }
  return {.number = stream.number, .position = stream.position};
}

std::vector<Known> Streams::revisions(const Watcher& watcher) const {
  std::vector<Known> result;
  for (const Reached& each : watcher.stream_->reached) {
    if (each.revision) result.push_back({each.partition, *each.revision});
  }
  return result;
}

std::uint64_t Streams::sent(const Watcher& watcher) const { return watcher.stream_->sent; }

std::map<std::size_t, std::uint64_t> Streams::missed(const Watcher& watcher, std::uint64_t from,
                                                     std::uint64_t to) const {
  std::map<std::size_t, std::uint64_t> result;
  const std::deque<Run>& runs = watcher.stream_->runs;
  for (auto run = std::ranges::upper_bound(runs, from, {}, &Run::end);
       run != runs.end() && from < to; ++run) {
    const std::uint64_t end = std::min(run->end, to);
    result[run->shard] += end - from;
    from = end;
  }
  return result;
}

}  // namespace canopy::proxy
