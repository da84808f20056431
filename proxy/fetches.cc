#include "proxy/fetches.h"

#include <algorithm>

#include "core/base/limits.h"

namespace canopy::proxy {

namespace native = wire::native;
using keyspace::Revision;
using keyspace::UpdatePtr;

namespace {

std::optional<Revision> known_of(const native::Fetch& fetch, const std::string& partition) {
  const auto known =
      std::ranges::find(fetch.known, partition, &native::PartitionRevision::partition);
  if (known == fetch.known.end()) return std::nullopt;
  return known->revision;
}

}  // namespace

wire::Fault Fetches::open(PeerId peer, native::Fetch fetch, base::TimePoint now) {
  drop_if(peer, [&](const Session& session) {
    return session.peer == peer && !fetch.topic.empty() && session.fetch.topic == fetch.topic;
  });
  if (waiting_.size() >= max_waiting) return wire::Fault::busy;
  std::size_t& count = per_client_[peer];
  if (count >= max_per_client) return wire::Fault::too_many_requests;
  ++count;
  waiting_.push_back({.peer = peer, .fetch = std::move(fetch), .began = now, .moved = now});
  return wire::Fault::none;
}

std::size_t Fetches::drop(PeerId peer) {
  return drop_if(peer, [&](const Session& session) { return session.peer == peer; });
}

std::size_t Fetches::drop_if(PeerId peer,
                             const std::function<bool(const Session& session)>& matches) {
  std::size_t count = 0;
  for (Sessions* sessions : {&waiting_, &active_}) count += std::erase_if(*sessions, matches);
  for (std::size_t i = 0; i < count; ++i) forget(peer);
  return count;
}

void Fetches::forget(PeerId peer) {
  const auto client = per_client_.find(peer);
  if (--client->second == 0) per_client_.erase(client);
}

void Fetches::credit(PeerId peer, const native::Credit& credit) {
  for (Session& session : active_) {
    if (session.fetch.request != credit.request || session.peer != peer) continue;
    session.fetch.credit = std::min(session.fetch.credit + credit.chunks, native::max_credit);
  }
}

Fetches::Readiness Fetches::readiness(const native::Fetch& fetch) const {
  bool behind = false;
  for (const std::size_t partition : partitions_.covering(fetch.subtree)) {
    const cluster::Mirror* mirror = partitions_.mirror(partition);
    if (mirror == nullptr || !mirror->ready()) return Readiness::absent;
    const auto known = known_of(fetch, partitions_.subtree(partition));
    if (known && *known > mirror->revision()) behind = true;
  }
  return behind ? Readiness::behind : Readiness::ready;
}

void Fetches::start_waiting(base::TimePoint now, const Sink& sink) {
  auto busy = static_cast<std::size_t>(std::ranges::count_if(active_, [](const Session& session) {
    return session.fetch.credit > 0 && session.unsent.empty();
  }));
  for (auto at = waiting_.begin(); at != waiting_.end() && busy < max_active_;) {
    const auto current = at++;
    const Readiness state = readiness(current->fetch);
    if (state == Readiness::absent && now - current->began > patience) {
      sink.refuse(current->peer, current->fetch.request, wire::Fault::partition_unavailable,
                  "its state is not here");
      sink.finished("unavailable", now - current->began);
    } else if (state == Readiness::ready ||
               (state == Readiness::behind && now - current->began > catch_up)) {
      if (begin(*current, now, sink)) {
        active_.splice(active_.end(), waiting_, current);
        ++busy;
        continue;
      }
    } else {
      continue;
    }
    forget(current->peer);
    waiting_.erase(current);
  }
}

bool Fetches::begin(Session& session, base::TimePoint now, const Sink& sink) {
  const native::Fetch& fetch = session.fetch;
  if (!fetch.topic.empty()) {
    const auto cut = streams_.cut(*native::parse_topic(fetch.topic));
    if (!cut) {
      sink.refuse(session.peer, fetch.request, wire::Fault::not_subscribed,
                  "nobody subscribes to this stream here");
      return false;
    }
    session.cut = *cut;
  }
  for (const std::size_t partition : partitions_.covering(fetch.subtree)) {
    session.parts.push_back(part_of(fetch, partition));
  }
  session.moved = now;
  if (!fetch.known.empty()) {
    sink.resynced(std::ranges::all_of(session.parts,
                                      [](const Part& part) { return part.mode == Mode::changes; }));
  }
  return true;
}

Fetches::Part Fetches::part_of(const native::Fetch& fetch, std::size_t partition) const {
  const cluster::Mirror& mirror = *partitions_.mirror(partition);
  Part part{.partition = partition,
            .revision = mirror.revision(),
            .cursor = mirror.tree().view().seek(fetch.subtree)};
  const auto known = known_of(fetch, partitions_.subtree(partition));
  const keyspace::Tombstones& tombstones = mirror.tombstones();
  if (!known || known->epoch() != part.revision.epoch() || *known > part.revision ||
      *known < tombstones.floor()) {
    return part;
  }
  part.mode = Mode::changes;
  part.since = *known;
  for (const UpdatePtr& deletion : tombstones.after(*known)) {
    if (!native::covers(fetch.subtree, deletion->key)) continue;
    if (mirror.tree().find(deletion->key) == nullptr) part.deletions.push_back(deletion);
  }
  return part;
}

bool Fetches::serve(base::TimePoint now, const Sink& sink) {
  start_waiting(now, sink);
  std::size_t stuck = 0;  // in a row
  std::size_t steps = 0;
  while (stuck < active_.size() && steps < chunks_per_turn) {
    const auto session = active_.begin();
    const Progress progress = advance(*session, now, sink);
    if (progress == Progress::stuck) {
      ++stuck;
    } else {
      stuck = 0;
      ++steps;
    }
    if (progress == Progress::finished) {
      forget(session->peer);
      active_.erase(session);
    } else {
      active_.splice(active_.end(), active_, session);
    }
  }
  return stuck < active_.size();
}

Fetches::Progress Fetches::advance(Session& session, base::TimePoint now, const Sink& sink) {
  const auto give_up = [&](const char* result) {
    sink.finished(result, now - session.began);
    return Progress::finished;
  };
  if (session.unsent.empty()) {
    if (session.fetch.credit == 0) {
      return now - session.moved > patience ? give_up("timeout") : Progress::stuck;
    }
    session.unsent = fill(session);
  }
  switch (sink.send(session.peer, session.unsent)) {
    case Delivery::gone: return give_up("client_gone");
    case Delivery::blocked:
      return now - session.moved > patience ? give_up("timeout") : Progress::stuck;
    case Delivery::sent: break;
  }
  session.unsent.clear();
  --session.fetch.credit;
  session.moved = now;
  return session.parts.empty() ? give_up("sent") : Progress::more;
}

std::string Fetches::fill(Session& session) const {
  Part& part = session.parts.front();
  const std::string& subtree = session.fetch.subtree;
  native::ChunkHeader header{.request = session.fetch.request,
                             .number = session.next_chunk++,
                             .partition = partitions_.subtree(part.partition),
                             .mode = part.mode,
                             .revision = part.revision,
                             .more = native::ChunkHeader::More::same_partition,
                             .incarnation = session.cut.incarnation,
                             .position = session.cut.position};
  std::string entries;
  const auto room_for = [&](const UpdatePtr& update) {
    return header.count == 0 || (entries.size() + update->bytes() + 64 <= base::max_chunk_bytes &&
                                 header.count < native::max_entries);
  };
  const auto tell = [&](const UpdatePtr& update) {
    native::append_entry(entries, *update);
    ++header.count;
  };
  while (part.next_deletion < part.deletions.size() &&
         room_for(part.deletions[part.next_deletion])) {
    tell(part.deletions[part.next_deletion++]);
  }
  bool done = false;
  if (part.next_deletion == part.deletions.size()) {
    auto& cursor = part.cursor;
    std::size_t looked_at = 0;
    for (;; cursor.next()) {
      done = cursor.done() || !native::covers(subtree, (*cursor)->key);
      if (done || looked_at++ == entries_per_chunk || !room_for(*cursor)) break;
      if (part.mode == Mode::full || (*cursor)->revision > part.since) tell(*cursor);
    }
  }
  if (done) {
    session.parts.pop_front();
    header.more = session.parts.empty() ? native::ChunkHeader::More::last
                                        : native::ChunkHeader::More::next_partition;
  }
  return native::encode_chunk(header, entries);
}

}  // namespace canopy::proxy
