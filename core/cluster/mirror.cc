#include "core/cluster/mirror.h"

#include <algorithm>

#include "core/wire/entry.h"

namespace canopy::cluster {

using keyspace::Revision;
using keyspace::UpdatePtr;

namespace {

std::size_t bytes_of(const wire::Batch& batch) {
  std::size_t total = sizeof(batch);  // empty batches take memory as well
  for (const UpdatePtr& update : batch.updates) total += update->bytes();
  return total;
}

}  // namespace

Mirror::Mirror(std::string partition, MirrorSettings settings)
    : partition_(std::move(partition)), settings_(settings), request_(settings.first_request) {}

Mirror::Mirror(SplitOff begin, MirrorSettings settings)
    : Mirror(std::move(begin.subtree), settings) {
  ready_ = part_ = begin.ready;
  splits_ = std::move(begin.splits);
  tree_ = std::move(begin.tree);
  tombstones_ = std::move(begin.tombstones);
  revision_ = begin.revision;
  lineage_ = begin.lineage;
  highest_epoch_ = begin.highest_epoch;
  epoch_reused_ = begin.epoch_reused;
}

Mirror::SplitOff Mirror::split_off(const std::string& subtree) {
  SplitOff part{.subtree = subtree,
                .ready = ready_ && !splits_.cover(subtree),
                .tree = tree_.extract(subtree),
                .tombstones = tombstones_.extract(subtree),
                .splits = splits_.extract(subtree),
                .revision = revision_,
                .lineage = lineage_,
                .highest_epoch = highest_epoch_,
                .epoch_reused = epoch_reused_};
  splits_.add(wire::make_update({.key = subtree, .revision = revision_, .splits = true}));
  return part;
}

void Mirror::split_at(const UpdatePtr& split, Effects& out) {
  if (!splits_.cover(split->key)) out.split_off.push_back(split_off(std::string(split->key)));
}

void Mirror::start(base::TimePoint now, Effects& out) { begin_sync(now, out); }

void Mirror::begin_sync(base::TimePoint now, Effects& out) {
  state_ = State::syncing;
  staging_.reset();
  ++request_;
  next_chunk_ = 0;
  patience_ = settings_.retry;
  ask(now, out);
}

void Mirror::ask(base::TimePoint now, Effects& out) {
  progress_ = now;
  if (other_.lineage != 0) other_.asked = now;
  out.requests.push_back(wire::encode(wire::Sync{
      .request = request_, .partition = partition_, .since = revision_, .lineage = lineage_}));
}

void Mirror::count_missed(const wire::Batch& batch, Effects& out) {
  out.received += batch.updates.size();
  Heard& heard = batch.lineage == lineage_ ? own_ : other_;
  if (heard.lineage != batch.lineage) {
    heard = {.lineage = batch.lineage, .end = batch.end()};
    return;
  }
  if (batch.after > heard.end) {
    out.missed += batch.after.value() - heard.end.value();
    ++out.holes;
  }
  heard.end = std::max(heard.end, batch.end());
}

bool Mirror::continues(const wire::Batch& batch) const {
  return batch.lineage == lineage_ && batch.after <= revision_;
}

// Whether a batch of the other lineage may come from a new leader.
bool Mirror::worth_asking(base::TimePoint now) const {
  return !other_.asked || now - *other_.asked >= settings_.retry;
}

void Mirror::on_batch(wire::Batch batch, base::TimePoint now, Effects& out) {
  count_missed(batch, out);
  if (state_ == State::live) {
    if (continues(batch)) return apply_tail(batch, out);
    if (batch.lineage != lineage_ && !worth_asking(now)) return;  // a former leader
  }
  hold(std::move(batch));
  if (state_ != State::syncing) return begin_sync(now, out);
  // A leader that has refused may serve the partition by now.
  if (!refusal_.empty()) patience_ = std::min(patience_, settings_.retry);
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
  if (update->splits) return split_at(update, out);
  if (splits_.cover(update->key)) return;  // from before a split that the owner has reported
  out.applied.push_back(update);
  if (!settings_.retain) return tombstones_.reset(revision_);
  tree_.apply(update);
  if (update->deleted) tombstones_.add(update);
}

void Mirror::on_chunk(const wire::Chunk& chunk, base::TimePoint now, Effects& out) {
  if (state_ != State::syncing || chunk.request != request_) return;
  if (chunk.number == 0) {
    staging_.reset();  // the first chunk of a reply, perhaps of a repeated one
  } else if (chunk.number != next_chunk_) {
    return begin_sync(now, out);
  }
  next_chunk_ = chunk.number + 1;
  progress_ = now;
  refusal_.clear();
  const bool is_replay = chunk.kind == wire::Chunk::Kind::replay;
  if (!(is_replay ? replay(chunk, out) : stage(chunk))) return begin_sync(now, out);
  if (!chunk.last) {
    out.requests.push_back(wire::encode(wire::Credit{.request = request_, .chunks = 1}));
    return;
  }
  if (is_replay) {
    ++out.replays;
  } else {
    take_snapshot(chunk, out);
    ++out.snapshots;
  }
  finish_sync(now, out);
}

// False when the chunk does not continue this copy. If the history of a leader of another lineage
// includes this copy, the copy stays and is of the leader's lineage from then on.
bool Mirror::replay(const wire::Chunk& chunk, Effects& out) {
  if (chunk.lineage != lineage_) {
    if (!ready_ || chunk.number > 0) return false;
    follow(chunk.lineage);
  }
  for (const UpdatePtr& update : chunk.updates) {
    if (update->revision <= revision_) continue;
    const bool begins_epoch = update->revision.epoch() > revision_.epoch();
    if (update->revision != revision_.next() &&
        !(begins_epoch && update->revision.counter() == 1)) {
      return false;
    }
    apply(update, out);
  }
  revision_ = std::max(revision_, chunk.revision);
  highest_epoch_ = std::max(highest_epoch_, revision_.epoch());
  return true;
}

// False when the chunk does not fit the others of its snapshot, or is older than the copy in the
// same lineage.
bool Mirror::stage(const wire::Chunk& chunk) {
  if (!staging_) staging_.emplace(Staging{.lineage = chunk.lineage, .cut = chunk.revision});
  if (chunk.revision != staging_->cut || chunk.lineage != staging_->lineage) return false;
  if (chunk.floor > chunk.revision) return false;
  if (chunk.lineage == lineage_ && chunk.revision < revision_) return false;
  for (const UpdatePtr& update : chunk.updates) {
    if (update->splits) {
      staging_->splits.push_back(update);
      continue;
    }
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
  const bool one_history = last.lineage == lineage_;
  for (const UpdatePtr& split : staging_->splits) split_at(split, out);
  // The snapshot may be older than a split that the owner has reported.
  for (const UpdatePtr& split : splits_.list()) {
    staging_->tree.extract(split->key);
    std::erase_if(staging_->deletions,
                  [&](const UpdatePtr& each) { return each->key.starts_with(split->key); });
  }
  bool goes_back = false;
  if (ready_) {
    const auto delete_key = [&](std::string_view key) {
      return wire::make_update({.key = key, .revision = last.revision, .deleted = true});
    };
    auto changes =
        keyspace::difference(tree_.view(), staging_->tree.view(), delete_key, one_history);
    // A history that continues this copy differs by later entries only.
    goes_back = !one_history && std::ranges::any_of(changes, [this](const UpdatePtr& change) {
      return !change->deleted && change->revision <= revision_;
    });
    out.applied.insert(out.applied.end(), std::make_move_iterator(changes.begin()),
                       std::make_move_iterator(changes.end()));
  }
  // The leader's deletions extend those here, or replace them. The difference does not suffice: it
  // lacks keys that were created and deleted during the hole, which other proxies' clients may
  // know.
  Revision known = revision_;
  if (!ready_ || last.floor > known || !one_history) {
    known = last.floor;
    tombstones_.reset(known);
  }
  for (const UpdatePtr& deletion : staging_->deletions) {
    if (deletion->revision > known) tombstones_.add(deletion);
  }
  if (!settings_.retain) tombstones_.reset(last.revision);
  tree_ = std::move(staging_->tree);
  staging_.reset();
  if (!one_history || !ready_) {
    epoch_reused_ = goes_back || (ready_ && last.revision.epoch() <= highest_epoch_);
    highest_epoch_ = std::max(highest_epoch_, last.revision.epoch());
    out.new_history |= epoch_reused_;
    follow(last.lineage);
  }
  revision_ = last.revision;
}

// Makes `lineage` that of the copy.
void Mirror::follow(std::uint64_t lineage) {
  Heard left = std::exchange(own_, other_.lineage == lineage ? other_ : Heard{});
  left.asked = progress_;  // the reply was of another lineage
  if (left.lineage != 0 || other_.lineage == lineage) other_ = left;
  lineage_ = lineage;
}

// Held batches of other lineages arrived before the sync: if their leader has answered, its reply
// includes them.
void Mirror::finish_sync(base::TimePoint now, Effects& out) {
  ready_ = true;
  part_ = false;
  state_ = State::live;
  held_updates_ = 0;
  held_bytes_ = 0;
  std::deque<wire::Batch> held = std::exchange(held_, {});
  for (wire::Batch& batch : held) {
    if (batch.lineage != lineage_) continue;
    if (state_ == State::live && continues(batch)) {
      apply_tail(batch, out);
      continue;
    }
    hold(std::move(batch));
    if (state_ == State::live) begin_sync(now, out);
  }
  // Another lineage may have appeared after the sync was sent.
  if (state_ == State::live && other_.lineage != 0 && !other_.asked) begin_sync(now, out);
}

void Mirror::on_refused(const wire::Refused& refused) {
  if (state_ == State::syncing && refused.request == request_) refusal_ = refused.why;
}

void Mirror::tick(base::TimePoint now, Effects& out) {
  if (state_ != State::syncing || now - progress_ < patience_) return;
  patience_ = std::min(2 * patience_, settings_.longest_retry);
  ask(now, out);
}

}  // namespace canopy::cluster
