#include "shard/sync_sessions.h"

#include <algorithm>

#include "core/base/limits.h"

namespace canopy::shard {

using keyspace::Revision;
using keyspace::UpdatePtr;

namespace {

// Fills a chunk within the bounds of a message.
class Room {
 public:
  explicit Room(wire::Chunk& chunk) : chunk_(chunk) {}
  // False when it has to wait for the next chunk.
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
  constexpr std::size_t least = 4;
  constexpr std::size_t most = 256;
  // A chunk takes about 1 ms to encode and send: a tenth of the time that the commits take.
  constexpr base::Duration per_chunk = std::chrono::milliseconds(10);
  const auto affordable = std::max<base::Duration::rep>(commits / per_chunk, 0);
  return std::clamp(static_cast<std::size_t>(affordable), least, most);
}

bool SyncSessions::open(ProxyId proxy, const wire::Sync& sync, const Partition& partition,
                        base::TimePoint now) {
  const Id id{proxy, partition.subtree()};
  const auto known = sessions_.find(id);
  if (known == sessions_.end() && sessions_.size() >= max_sessions) return false;
  if (known != sessions_.end() && known->second.request == sync.request) {
    // The asker has heard nothing for a while: credit may have been lost on the way.
    known->second.credit = std::max<std::uint64_t>(known->second.credit, 1);
    return true;
  }
  Session session{.request = sync.request,
                  .lineage = partition.lineage(),
                  .position = sync.since,
                  .began = now,
                  .moved = now};
  if (sync.lineage != partition.lineage() || !partition.log().covers(sync.since)) {
    begin_snapshot(session, partition);
  }
  sessions_.insert_or_assign(id, std::move(session));
  return true;
}

void SyncSessions::begin_snapshot(Session& session, const Partition& partition) {
  const auto view = partition.tree().view();
  const Revision floor = partition.tombstones().floor();
  session.position = floor;
  session.snapshot.emplace(
      Snapshot{.cut = partition.revision(), .floor = floor, .view = view, .next = view.seek("")});
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

// One that has both waits for its turn, however long that takes.
void SyncSessions::drop_idle(const HasRoom& has_room, base::TimePoint now) {
  std::erase_if(sessions_, [&](const auto& entry) {
    const auto& [id, session] = entry;
    return now - session.moved > patience && (session.credit == 0 || !has_room(id.first));
  });
}

wire::Chunk SyncSessions::fill(Session& session, const Partition& partition) {
  if (session.lineage != partition.lineage()) {  // led anew: the answer begins anew
    session.lineage = partition.lineage();
    session.next_number = 0;
    begin_snapshot(session, partition);
  } else if (!session.snapshot && !partition.log().covers(session.position)) {
    // The log has moved past a slow replay: what is left of it becomes a snapshot.
    begin_snapshot(session, partition);
  }
  wire::Chunk chunk{.request = session.request,
                    .number = session.next_number++,
                    .partition = partition.subtree(),
                    .lineage = session.lineage};
  if (session.snapshot) {
    fill_snapshot(session, partition, chunk);
  } else {
    fill_replay(session, partition, chunk);
  }
  return chunk;
}

void SyncSessions::fill_snapshot(Session& session, const Partition& partition, wire::Chunk& chunk) {
  Snapshot& snapshot = *session.snapshot;
  Room room(chunk);
  // Those that were forgotten before they could be sent raise the floor.
  const keyspace::Tombstones& tombstones = partition.tombstones();
  if (session.position < snapshot.cut && session.position < tombstones.floor()) {
    session.position = snapshot.floor = std::min(tombstones.floor(), snapshot.cut);
  }
  std::size_t looked_at = 0;
  bool told = true;
  for (const UpdatePtr& deletion : tombstones.after(session.position)) {
    if (deletion->revision > snapshot.cut) break;
    const bool gone = !snapshot.view.contains(deletion->key);
    told = ++looked_at <= deletions_per_chunk && (!gone || room.add(deletion));
    if (!told) break;
    session.position = deletion->revision;
  }
  if (told) {
    session.position = snapshot.cut;
    while (!snapshot.next.done() && room.add(*snapshot.next)) snapshot.next.next();
  }
  chunk.kind = wire::Chunk::Kind::snapshot;
  chunk.revision = snapshot.cut;
  chunk.floor = snapshot.floor;
  chunk.last = told && snapshot.next.done();
}

void SyncSessions::fill_replay(Session& session, const Partition& partition, wire::Chunk& chunk) {
  Room room(chunk);
  const auto& log = partition.log();
  while (session.position < log.last() && room.add(log.after(session.position))) {
    session.position = session.position.next();
  }
  chunk.kind = wire::Chunk::Kind::replay;
  chunk.revision = session.position;
  chunk.last = session.position == log.last();
}

std::optional<SyncSessions::Step> SyncSessions::next(const Find& find, const HasRoom& has_room,
                                                     base::TimePoint now) {
  // Round robin: from the one after the last served.
  auto at = sessions_.upper_bound(last_served_);
  for (std::size_t looked_at = 0, count = sessions_.size(); looked_at < count; ++looked_at) {
    if (at == sessions_.end()) at = sessions_.begin();
    const auto current = at++;
    Session& session = current->second;
    const Partition* partition = find(current->first.second);
    if (partition == nullptr) {
      sessions_.erase(current);
      continue;
    }
    if (session.credit == 0 || !has_room(current->first.first)) continue;
    --session.credit;
    session.moved = now;
    last_served_ = current->first;
    Step step{.proxy = current->first.first, .chunk = fill(session, *partition)};
    if (step.chunk.last) {
      step.finished = Finished{step.chunk.kind, now - session.began};
      sessions_.erase(current);
    }
    return step;
  }
  return std::nullopt;
}

}  // namespace canopy::shard
