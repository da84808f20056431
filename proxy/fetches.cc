#include "proxy/fetches.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "core/base/limits.h"

namespace canopy::proxy {

namespace native = wire::native;
using keyspace::Revision;
using keyspace::UpdatePtr;

namespace {

std::optional<Revision> known_of(const native::Fetch& fetch, const std::string& partition) {
  const auto known =
      std::ranges::lower_bound(fetch.known, partition, {}, &native::PartitionRevision::partition);
  if (known == fetch.known.end() || known->partition != partition) return std::nullopt;
  return known->revision;
}

std::size_t bytes_of(const native::Fetch& fetch) {
  std::size_t total = sizeof(fetch) + fetch.topic.size() + fetch.subtree.size();
  for (const auto& [partition, revision] : fetch.known) {
    total += sizeof(native::PartitionRevision) + partition.size();
  }
  return total;
}

}  // namespace

wire::Fault Fetches::open(PeerId peer, native::Fetch fetch, base::TimePoint now,
                          MirrorLease lease) {
  if (const auto mine = by_client_.find(peer); mine != by_client_.end() && !fetch.topic.empty()) {
    const auto earlier = std::ranges::find_if(
        mine->second, [&](const auto& session) { return session->fetch.topic == fetch.topic; });
    if (earlier != mine->second.end()) end(*earlier);
  }
  const bool resumes = !fetch.known.empty();
  keep_relevant(fetch);
  const std::size_t bytes = bytes_of(fetch);
  if (!budget_.allows(bytes)) return wire::Fault::busy;
  if (!budget_.allows(peer, bytes)) return wire::Fault::too_many_requests;
  if (waiting_.size() >= max_waiting) return wire::Fault::busy;
  auto& mine = by_client_[peer];
  if (mine.size() >= max_per_client) return wire::Fault::too_many_requests;
  waiting_.push_back({.peer = peer,
                      .fetch = std::move(fetch),
                      .began = now,
                      .moved = now,
                      .lease = std::move(lease),
                      .in = &waiting_,
                      .share = budget_.take(peer, bytes),
                      .resumes = resumes});
  mine.push_back(std::prev(waiting_.end()));
  return wire::Fault::none;
}

// A client may name any partitions; only those of the subtree mean something.
void Fetches::keep_relevant(native::Fetch& fetch) const {
  if (fetch.known.empty()) return;
  std::set<std::string_view> relevant;
  for (const std::size_t partition : partitions_.covering(fetch.subtree)) {
    relevant.insert(partitions_.subtree(partition));
  }
  std::erase_if(fetch.known,
                [&](const auto& known) { return !relevant.contains(known.partition); });
  fetch.known.shrink_to_fit();
}

std::size_t Fetches::drop(PeerId peer) {
  std::size_t count = 0;
  for (auto mine = by_client_.find(peer); mine != by_client_.end(); mine = by_client_.find(peer)) {
    end(mine->second.back());
    ++count;
  }
  return count;
}

void Fetches::end(Sessions::iterator session) {
  const auto client = by_client_.find(session->peer);
  std::erase(client->second, session);
  if (client->second.empty()) by_client_.erase(client);
  session->in->erase(session);
}

void Fetches::move(Sessions::iterator session, Sessions& to) {
  to.splice(to.end(), *session->in, session);
  session->in = &to;
}

void Fetches::credit(PeerId peer, const native::Credit& credit) {
  const auto client = by_client_.find(peer);
  if (client == by_client_.end()) return;
  for (const auto session : client->second) {
    if (session->fetch.request != credit.request || session->in == &waiting_) continue;
    session->fetch.credit = std::min(session->fetch.credit + credit.chunks, native::max_credit);
    if (session->in == &parked_) move(session, active_);
  }
}

Fetches::Readiness Fetches::readiness(const native::Fetch& fetch,
                                      const std::vector<std::size_t>& partitions) const {
  bool behind = false;
  for (const std::size_t partition : partitions) {
    const cluster::Mirror* mirror = partitions_.mirror(partition);
    if (mirror == nullptr || !mirror->ready()) return Readiness::absent;
    const auto known = known_of(fetch, partitions_.subtree(partition));
    if (known && *known > mirror->revision()) behind = true;
  }
  return behind ? Readiness::behind : Readiness::ready;
}

// Each is looked at in its turn: one that cannot be answered yet goes behind the others.
void Fetches::start_waiting(base::TimePoint now, const Sink& sink) {
  std::size_t asked = 0;
  auto busy = static_cast<std::size_t>(
      std::ranges::count_if(active_, [](const auto& session) { return session.unsent.empty(); }));
  for (std::size_t left = waiting_.size();
       left > 0 && busy < max_active_ && asked < partitions_per_turn; --left) {
    const auto current = waiting_.begin();
    const std::vector<std::size_t> partitions = partitions_.covering(current->fetch.subtree);
    asked += 1 + partitions.size();
    const Readiness state = readiness(current->fetch, partitions);
    if (state == Readiness::absent && now - current->began > patience) {
      sink.refuse(current->peer, current->fetch.request, wire::Fault::partition_unavailable,
                  "its state is not here");
      sink.finished("unavailable", now - current->began);
      end(current);
    } else if (state == Readiness::ready ||
               (state == Readiness::behind && now - current->began > catch_up)) {
      if (begin(*current, partitions, now, sink)) {
        if (current->fetch.credit > 0) ++busy;
        move(current, current->fetch.credit > 0 ? active_ : parked_);
      } else {
        end(current);
      }
    } else {
      move(current, waiting_);
    }
  }
}

bool Fetches::begin(Session& session, const std::vector<std::size_t>& partitions,
                    base::TimePoint now, const Sink& sink) {
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
  for (const std::size_t partition : partitions) {
    add_parts(session, partition);
  }
  session.moved = now;
  if (session.resumes) {
    sink.resynced(std::ranges::all_of(session.parts,
                                      [](const Part& part) { return part.mode == Mode::changes; }));
  }
  return true;
}

// What a client knows may be of either history of an epoch that was used twice: it is voided, and
// all is told.
void Fetches::add_parts(Session& session, std::size_t partition) const {
  if (partitions_.mirror(partition)->epoch_reused() &&
      known_of(session.fetch, partitions_.subtree(partition))) {
    session.parts.push_back({.partition = partition, .voids = true});
  }
  session.parts.push_back(part_of(session.fetch, partition));
}

Fetches::Part Fetches::part_of(const native::Fetch& fetch, std::size_t partition) const {
  const cluster::Mirror& mirror = *partitions_.mirror(partition);
  const keyspace::TreeView view = mirror.tree().view();
  Part part{.partition = partition,
            .revision = mirror.revision(),
            .view = view,
            .cursor = view.seek(fetch.subtree)};
  const auto known = known_of(fetch, partitions_.subtree(partition));
  const keyspace::Tombstones& tombstones = mirror.tombstones();
  if (!known || mirror.epoch_reused() || known->epoch() != part.revision.epoch() ||
      *known > part.revision || *known < tombstones.floor()) {
    return part;
  }
  part.mode = Mode::changes;
  part.since = *known;
  part.deletions = tombstones.after(*known);
  return part;
}

bool Fetches::serve(base::TimePoint now, const Sink& sink) {
  start_waiting(now, sink);
  give_up_parked(now, sink);
  std::size_t budget = entries_per_turn;
  std::size_t stuck = 0;  // in a row
  std::size_t steps = 0;
  while (stuck < active_.size() && steps < chunks_per_turn && budget > 0) {
    const auto session = active_.begin();
    const Progress progress = advance(*session, budget, now, sink);
    if (progress == Progress::turn_over) break;  // it goes on in the next one
    if (progress == Progress::stuck) {
      ++stuck;
    } else {
      stuck = 0;
      ++steps;
    }
    if (progress == Progress::finished) {
      end(session);
    } else {
      move(session, session->fetch.credit > 0 ? active_ : parked_);
    }
  }
  return stuck < active_.size() || (steps > 0 && !waiting_.empty());
}

void Fetches::give_up_parked(base::TimePoint now, const Sink& sink) {
  while (!parked_.empty() && now - parked_.front().moved > patience) {
    sink.finished("timeout", now - parked_.front().began);
    end(parked_.begin());
  }
}

Fetches::Progress Fetches::advance(Session& session, std::size_t& budget, base::TimePoint now,
                                   const Sink& sink) {
  const auto give_up = [&](const char* result) {
    sink.finished(result, now - session.began);
    return Progress::finished;
  };
  if (session.unsent.empty() && !fill(session, budget)) return Progress::turn_over;
  switch (sink.send(session.peer, session.unsent)) {
    case Delivery::gone: return give_up("client_gone");
    case Delivery::blocked:
      return now - session.moved > patience ? give_up("timeout") : Progress::stuck;
    case Delivery::sent: break;
  }
  session.unsent.clear();
  --session.fetch.credit;
  session.moved = now;
  return session.parts.empty() ? give_up("sent") : Progress::sent;
}

// Looks at what `budget` allows, which it takes from. True when the chunk is filled, and encoded.
bool Fetches::fill(Session& session, std::size_t& budget) {
  Part& part = session.parts.front();
  Filling& filling = session.filling;
  const std::string& subtree = session.fetch.subtree;
  const auto room_for = [&](const UpdatePtr& update) {
    return filling.count == 0 ||
           (filling.entries.size() + update->bytes() + 64 <= base::max_chunk_bytes &&
            filling.count < native::max_entries);
  };
  for (;;) {
    const bool deletions = !part.deletions.done();
    if (part.voids ||
        (!deletions && (part.cursor.done() || !native::covers(subtree, (*part.cursor)->key)))) {
      session.unsent = encode_filled(session, true);
      return true;
    }
    if (filling.looked_at == entries_per_chunk) break;
    if (budget == 0) return false;
    --budget;
    ++looked_at_;
    ++filling.looked_at;
    const UpdatePtr& update = deletions ? *part.deletions : *part.cursor;
    const bool told =
        deletions ? native::covers(subtree, update->key) && !part.view->contains(update->key)
                  : part.mode == Mode::full || update->revision > part.since;
    if (told) {
      if (!room_for(update)) break;
      native::append_entry(filling.entries, *update);
      ++filling.count;
    }
    deletions ? part.deletions.next() : part.cursor.next();
  }
  session.unsent = encode_filled(session, false);
  return true;
}

std::string Fetches::encode_filled(Session& session, bool last_of_part) const {
  const Filling filling = std::exchange(session.filling, {});
  const Part& part = session.parts.front();
  using More = native::ChunkHeader::More;
  native::ChunkHeader header{.request = session.fetch.request,
                             .number = session.next_chunk++,
                             .partition = partitions_.subtree(part.partition),
                             .mode = part.mode,
                             .revision = part.revision,
                             .more = More::same_partition,
                             .incarnation = session.cut.incarnation,
                             .position = session.cut.position,
                             .count = filling.count};
  if (last_of_part) {
    session.parts.pop_front();
    header.more = session.parts.empty() ? More::last : More::next_partition;
  }
  return native::encode_chunk(header, filling.entries);
}

}  // namespace canopy::proxy
