#include "shard/sync_sessions.h"

#include <algorithm>

#include "core/base/limits.h"

namespace canopy::shard {

using keyspace::Revision;
using keyspace::UpdatePtr;

namespace {

// Fills a chunk within the bounds of a message.
class ChunkFiller {
 public:
  explicit ChunkFiller(wire::Chunk& chunk) : chunk_(chunk) {}
  // False when the update must wait for the next chunk.
  bool add(const UpdatePtr& update) {
    const std::size_t bytes = bytes_ + update->encoded().size();
    const std::size_t count = chunk_.updates.size();
    if (count > 0 && (bytes > base::max_chunk_bytes || count == wire::max_message_updates)) {
      return false;
    }
    bytes_ = bytes;
    chunk_.updates.push_back(update);
    return true;
  }

 private:
  wire::Chunk& chunk_;
  std::size_t bytes_ = 0;
};

}  // namespace

std::size_t SyncSessions::chunks_per_turn(base::Duration commits) {
  constexpr std::size_t min_chunks = 4;
  constexpr std::size_t max_chunks = 256;
  // Encoding and sending a chunk takes about 1 ms. Chunks may take a tenth of the commits' time.
  constexpr base::Duration per_chunk = std::chrono::milliseconds(10);
  const auto affordable = std::max<base::Duration::rep>(commits / per_chunk, 0);
  return std::clamp(static_cast<std::size_t>(affordable), min_chunks, max_chunks);
}

bool SyncSessions::open(ProxyId proxy, const wire::Sync& sync, const cluster::Replica& replica,
                        base::TimePoint now) {
  const Id id{proxy, replica.partition()};
  const auto known = sessions_.find(id);
  if (known == sessions_.end() && sessions_.size() >= max_sessions) return false;
  if (known != sessions_.end() && known->second.request == sync.request) {
    // The proxy repeats the sync because it received nothing: its credit may have been lost.
    known->second.credit = std::max<std::uint64_t>(known->second.credit, 1);
    return true;
  }
  Session session{.request = sync.request,
                  .lineage = replica.lineage(),
                  .position = sync.since,
                  .began = now,
                  .moved = now};
  const auto& log = replica.log();
  if (!log.knows(sync.since, sync.lineage) || !log.reaches(sync.since)) {
    begin_snapshot(session, replica);
  }
  sessions_.insert_or_assign(id, std::move(session));
  return true;
}

void SyncSessions::begin_snapshot(Session& session, const cluster::Replica& replica) {
  const auto view = replica.tree().view();
  const Revision floor = replica.tombstones().floor();
  session.position = floor;
  session.snapshot.emplace(Snapshot{.cut = replica.committed(),
                                    .floor = floor,
                                    .split = replica.splits().newest(),
                                    .splits = replica.splits().list(),
                                    .view = view,
                                    .next = view.seek("")});
}

void SyncSessions::credit(ProxyId proxy, const wire::Credit& credit) {
  for (auto at = sessions_.lower_bound({proxy, ""});
       at != sessions_.end() && at->first.first == proxy; ++at) {
    if (at->second.request == credit.request) {
      at->second.credit = std::min<std::uint64_t>(at->second.credit + credit.chunks, 64);
    }
  }
}

void SyncSessions::close(ProxyId proxy) {
  sessions_.erase(sessions_.lower_bound({proxy, ""}), sessions_.lower_bound({proxy + 1, ""}));
}

bool SyncSessions::waiting(const HasRoom& has_room) const {
  return std::ranges::any_of(sessions_, [&](const auto& entry) {
    return entry.second.credit > 0 && has_room(entry.first.first);
  });
}

// A session with credit and room waits for its turn and is never dropped.
void SyncSessions::drop_idle(const HasRoom& has_room, base::TimePoint now) {
  std::erase_if(sessions_, [&](const auto& entry) {
    const auto& [id, session] = entry;
    return now - session.moved > timeout && (session.credit == 0 || !has_room(id.first));
  });
}

wire::Chunk SyncSessions::fill(Session& session, const cluster::Replica& replica) {
  // A new leadership, or a split, may hide deletions: the answer begins anew.
  const bool split = session.snapshot && session.snapshot->split != replica.splits().newest();
  if (session.lineage != replica.lineage() || split) {
    session.lineage = replica.lineage();
    session.next_number = 0;
    begin_snapshot(session, replica);
  } else if (!session.snapshot && !replica.log().reaches(session.position)) {
    // The log no longer covers a slow replay: the rest becomes a snapshot.
    begin_snapshot(session, replica);
  }
  wire::Chunk chunk{.request = session.request,
                    .number = session.next_number++,
                    .partition = replica.partition(),
                    .lineage = session.lineage};
  if (session.snapshot) {
    fill_snapshot(session, replica, chunk);
  } else {
    fill_replay(session, replica, chunk);
  }
  return chunk;
}

void SyncSessions::fill_snapshot(Session& session, const cluster::Replica& replica,
                                 wire::Chunk& chunk) {
  Snapshot& snapshot = *session.snapshot;
  ChunkFiller filler(chunk);
  bool fits = true;
  for (auto& next = snapshot.next_split; fits && next < snapshot.splits.size(); next += fits) {
    fits = filler.add(snapshot.splits[next]);
  }
  // Deletions that were forgotten before they could be sent raise the floor.
  const keyspace::Tombstones& tombstones = replica.tombstones();
  if (session.position < snapshot.cut && session.position < tombstones.floor()) {
    session.position = snapshot.floor = std::min(tombstones.floor(), snapshot.cut);
  }
  std::size_t examined = 0;
  if (fits) {
    for (const UpdatePtr& deletion : tombstones.after(session.position)) {
      if (deletion->revision > snapshot.cut) break;
      const bool gone = !snapshot.view.contains(deletion->key);
      fits = ++examined <= deletions_per_chunk && (!gone || filler.add(deletion));
      if (!fits) break;
      session.position = deletion->revision;
    }
  }
  if (fits) {
    session.position = snapshot.cut;
    while (!snapshot.next.done() && filler.add(*snapshot.next)) snapshot.next.next();
  }
  chunk.kind = wire::Chunk::Kind::snapshot;
  chunk.revision = snapshot.cut;
  chunk.floor = snapshot.floor;
  chunk.last = fits && snapshot.next.done();
}

void SyncSessions::fill_replay(Session& session, const cluster::Replica& replica,
                               wire::Chunk& chunk) {
  ChunkFiller filler(chunk);
  const auto committed = [&] {
    const keyspace::LogEntry* entry = replica.log().after(session.position);
    return entry != nullptr && entry->update->revision <= replica.committed() ? entry : nullptr;
  };
  const keyspace::LogEntry* entry = committed();
  for (; entry != nullptr && filler.add(entry->update); entry = committed()) {
    session.position = entry->update->revision;
  }
  chunk.last = entry == nullptr;
  if (chunk.last) session.position = std::max(session.position, replica.committed());
  chunk.kind = wire::Chunk::Kind::replay;
  chunk.revision = session.position;
}

std::optional<SyncSessions::Step> SyncSessions::next(const Find& find, const HasRoom& has_room,
                                                     base::TimePoint now) {
  // Round robin, from the session after the last served one.
  auto at = sessions_.upper_bound(last_served_);
  for (std::size_t examined = 0, count = sessions_.size(); examined < count; ++examined) {
    if (at == sessions_.end()) at = sessions_.begin();
    const auto current = at++;
    Session& session = current->second;
    const cluster::Replica* replica = find(current->first.second);
    if (replica == nullptr) {
      sessions_.erase(current);
      continue;
    }
    if (session.credit == 0 || !has_room(current->first.first)) continue;
    --session.credit;
    session.moved = now;
    last_served_ = current->first;
    Step step{.proxy = current->first.first, .chunk = fill(session, *replica)};
    if (step.chunk.last) {
      step.finished = Finished{step.chunk.kind, now - session.began};
      sessions_.erase(current);
    }
    return step;
  }
  return std::nullopt;
}

}  // namespace canopy::shard
