#include "shard/sync_sessions.h"

#include <algorithm>

#include "core/base/limits.h"

namespace canopy::shard {

using keyspace::UpdatePtr;

bool SyncSessions::open(const std::string& peer, const wire::Sync& sync, const Partition& partition,
                        base::TimePoint now) {
  const Id id{peer, partition.subtree()};
  if (sessions_.size() >= max_sessions && !sessions_.contains(id)) return false;
  Session session{.request = sync.request, .position = sync.since, .began = now, .moved = now};
  if (!partition.log().covers(sync.since)) begin_snapshot(session, partition);
  sessions_.insert_or_assign(id, std::move(session));
  return true;
}

void SyncSessions::begin_snapshot(Session& session, const Partition& partition) {
  session.cut = partition.revision();
  session.snapshot = partition.tree().view().seek("");
}

void SyncSessions::credit(const std::string& peer, const wire::Credit& credit) {
  for (auto at = sessions_.lower_bound({peer, ""});
       at != sessions_.end() && at->first.first == peer; ++at) {
    if (at->second.request == credit.request) {
      at->second.credit = std::min<std::uint64_t>(at->second.credit + credit.chunks, 64);
    }
  }
}

void SyncSessions::close(const std::string& peer, const std::string& partition) {
  sessions_.erase({peer, partition});
}

bool SyncSessions::waiting() const {
  return std::ranges::any_of(sessions_, [](const auto& entry) { return entry.second.credit > 0; });
}

void SyncSessions::drop_idle(base::TimePoint now) {
  std::erase_if(sessions_,
                [now](const auto& entry) { return now - entry.second.moved > patience; });
}

wire::Chunk SyncSessions::fill(Session& session, const Partition& partition) {
  wire::Chunk chunk{.request = session.request, .partition = partition.subtree()};
  std::size_t bytes = 0;
  const auto room_for = [&](const UpdatePtr& update) {
    bytes += update->bytes();
    return chunk.updates.empty() ||
           (bytes <= base::max_chunk_bytes && chunk.updates.size() < wire::max_message_updates);
  };
  // The log may have moved past a slow replay: what is left of it becomes a snapshot.
  if (!session.snapshot && !partition.log().covers(session.position)) {
    begin_snapshot(session, partition);
  }
  if (session.snapshot) {
    auto& cursor = *session.snapshot;
    for (; !cursor.done() && room_for(*cursor); cursor.next()) chunk.updates.push_back(*cursor);
    chunk.kind = wire::Chunk::Kind::snapshot;
    chunk.revision = session.cut;
    chunk.last = cursor.done();
    return chunk;
  }
  const auto& log = partition.log();
  while (session.position < log.last() && room_for(log.after(session.position))) {
    chunk.updates.push_back(log.after(session.position));
    session.position = session.position.next();
  }
  chunk.kind = wire::Chunk::Kind::replay;
  chunk.revision = session.position;
  chunk.last = session.position == log.last();
  return chunk;
}

std::optional<SyncSessions::Step> SyncSessions::next(
    const std::function<const Partition*(const std::string&)>& find, base::TimePoint now) {
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
    if (session.credit == 0) continue;
    --session.credit;
    session.moved = now;
    last_served_ = current->first;
    Step step{.peer = current->first.first, .chunk = fill(session, *partition)};
    if (step.chunk.last) {
      step.finished = Finished{step.chunk.kind, now - session.began};
      sessions_.erase(current);
    }
    return step;
  }
  return std::nullopt;
}

}  // namespace canopy::shard
