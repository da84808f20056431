#include "core/cluster/mirror.h"

#include <algorithm>

namespace canopy::cluster {

using keyspace::Revision;
using keyspace::UpdatePtr;

namespace {

std::size_t bytes_of(const wire::Batch& batch) {
  std::size_t total = 0;
  for (const UpdatePtr& update : batch.updates) total += update->bytes();
  return total;
}

}  // namespace

Mirror::Mirror(std::string partition, MirrorSettings settings)
    : partition_(std::move(partition)), settings_(settings), request_(settings.first_request) {}

void Mirror::start(base::TimePoint now, Effects& out) { begin_sync(now, out); }

void Mirror::begin_sync(base::TimePoint now, Effects& out) {
  state_ = State::syncing;
  staging_.reset();
  progress_ = now;
  out.requests.push_back(
      wire::encode(wire::Sync{.request = ++request_, .partition = partition_, .since = revision_}));
}

void Mirror::count_missed(const wire::Batch& batch, Effects& out) {
  out.received += batch.updates.size();
  if (batch.after > seen_ && batch.after.epoch() == seen_.epoch()) {
    out.missed += batch.after.value() - seen_.value();
    ++out.holes;
  }
  seen_ = std::max(seen_, batch.end());
}

void Mirror::on_batch(wire::Batch batch, base::TimePoint now, Effects& out) {
  if (batch.after.epoch() < std::max(revision_, seen_).epoch()) return;  // a leader of the past
  count_missed(batch, out);
  if (state_ == State::live && batch.after <= revision_ &&
      batch.after.epoch() == revision_.epoch()) {
    apply_tail(batch, out);
    return;
  }
  hold(std::move(batch));
  if (state_ != State::syncing) begin_sync(now, out);
}

void Mirror::hold(wire::Batch batch) {
  const std::size_t bytes = bytes_of(batch);
  if (held_updates_ + batch.updates.size() > settings_.held_updates ||
      held_bytes_ + bytes > settings_.held_bytes) {
    return;
  }
  held_updates_ += batch.updates.size();
  held_bytes_ += bytes;
  held_.push_back(std::move(batch));
}

void Mirror::apply_tail(wire::Batch& batch, Effects& out) {
  for (const UpdatePtr& update : batch.updates) {
    if (update->revision > revision_) apply(update, out);
  }
}

void Mirror::apply(const UpdatePtr& update, Effects& out) {
  revision_ = update->revision;
  out.applied.push_back(update);
  if (!settings_.retain) return tombstones_.reset(revision_);
  tree_.apply(update);
  if (update->deleted) tombstones_.add(update);
}

void Mirror::on_chunk(const wire::Chunk& chunk, base::TimePoint now, Effects& out) {
  if (state_ != State::syncing || chunk.request != request_) return;
  if (chunk.revision < revision_) return;
  progress_ = now;
  refusal_.clear();
  if (chunk.kind == wire::Chunk::Kind::replay) {
    for (const UpdatePtr& update : chunk.updates) {
      if (update->revision != revision_.next()) return begin_sync(now, out);
      apply(update, out);
    }
  } else if (!stage(chunk)) {
    return begin_sync(now, out);
  }
  if (!chunk.last) {
    out.requests.push_back(wire::encode(wire::Credit{.request = request_, .chunks = 1}));
    return;
  }
  if (chunk.kind == wire::Chunk::Kind::snapshot) {
    take_snapshot(chunk, out);
    ++out.snapshots;
  } else {
    ++out.replays;
  }
  finish_sync(now, out);
}

// False when the chunk does not fit the others of its snapshot.
bool Mirror::stage(const wire::Chunk& chunk) {
  if (!staging_) staging_.emplace(Staging{.cut = chunk.revision});
  if (chunk.revision != staging_->cut || chunk.floor > chunk.revision) return false;
  for (const UpdatePtr& update : chunk.updates) {
    if (!update->deleted) {
      if (settings_.retain) staging_->tree.put(update);
      continue;
    }
    auto& deletions = staging_->deletions;
    if (update->revision > chunk.revision ||
        (!deletions.empty() && update->revision <= deletions.back()->revision)) {
      return false;
    }
    deletions.push_back(update);
  }
  return true;
}

void Mirror::take_snapshot(const wire::Chunk& last, Effects& out) {
  if (ready_) {
    auto changes = keyspace::difference(tree_.view(), staging_->tree.view(), last.revision);
    out.applied.insert(out.applied.end(), std::make_move_iterator(changes.begin()),
                       std::make_move_iterator(changes.end()));
  }
  // What the leader tells goes on from what is known here, or takes its place. The difference will
  // not do: it lacks keys that came and went while nothing was heard, which others may know.
  Revision known = revision_;
  if (!ready_ || last.floor > known || last.revision.epoch() != known.epoch()) {
    known = last.floor;
    tombstones_.reset(known);
  }
  for (const UpdatePtr& deletion : staging_->deletions) {
    if (deletion->revision > known) tombstones_.add(deletion);
  }
  if (!settings_.retain) tombstones_.reset(last.revision);
  tree_ = std::move(staging_->tree);
  staging_.reset();
  revision_ = last.revision;
}

void Mirror::finish_sync(base::TimePoint now, Effects& out) {
  ready_ = true;
  state_ = State::live;
  held_updates_ = 0;
  held_bytes_ = 0;
  std::deque<wire::Batch> held = std::exchange(held_, {});
  for (wire::Batch& batch : held) {
    if (batch.after.epoch() < revision_.epoch()) continue;
    if (state_ == State::live && batch.after <= revision_ &&
        batch.after.epoch() == revision_.epoch()) {
      apply_tail(batch, out);
      continue;
    }
    hold(std::move(batch));
    if (state_ == State::live) begin_sync(now, out);
  }
}

void Mirror::on_refused(const wire::Refused& refused) {
  if (state_ == State::syncing && refused.request == request_) refusal_ = refused.why;
}

void Mirror::tick(base::TimePoint now, Effects& out) {
  if (state_ == State::syncing && now - progress_ >= settings_.retry) begin_sync(now, out);
}

}  // namespace canopy::cluster
