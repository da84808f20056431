// CatchUps after the cut: fills and sends the chunks of each request.
#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <utility>

#include "proxy/catch_ups.h"

namespace canopy::proxy {

namespace native = wire::native;
using keyspace::Revision;
using keyspace::UpdatePtr;

namespace {

// Cost of a message, and of a request that begins, counted as examined entries.
constexpr std::size_t message_cost = 4;

const Known* known_of(const std::vector<Known>& known, std::size_t partition) {
  const auto found = std::ranges::lower_bound(known, partition, {}, &Known::partition);
  return found == known.end() || found->partition != partition ? nullptr : &*found;
}

}  // namespace

// Begins or continues one request of the client. False when the turn ends first.
bool CatchUps::serve(Client& client, base::TimePoint now) {
  if (!client.ready.empty() && client.cut.size() < max_cuts_per_client) {
    const std::size_t cut = client.cut.size();
    start(client.ready.front(), now);
    entries_left_ -= std::min(entries_left_, message_cost);
    if (client.cut.size() == cut) return true;
    // A small answer is sent at once after its cut: no updates have to be held for it.
    client.cut.splice(client.cut.begin(), client.cut, std::prev(client.cut.end()));
  }
  if (client.cut.empty()) return true;
  return advance(client.cut.front(), now);
}

void CatchUps::start(Session& session, base::TimePoint now) {
  std::vector<std::size_t> partitions = partitions_.covering(session.request.subtree);
  // The partition that owns the key comes first.
  if (session.request.kind == Kind::get) partitions.resize(1);
  partitions_left_ -= std::min(partitions_left_, 1 + partitions.size());
  const base::Duration waited = now - session.began;
  std::optional<std::size_t> absent;
  const Known* behind = nullptr;
  for (const std::size_t partition : partitions) {
    if (!reached(partition, Revision())) {
      absent = partition;
      continue;
    }
    const Known* known = known_of(session.request.known, partition);
    if (known == nullptr || partitions_.mirror(partition)->epoch_reused()) continue;
    if (!reached(partition, known->revision)) behind = known;
  }
  if (absent && waited < mirror_timeout) {
    return wait(session, *absent, Revision(), session.began + mirror_timeout);
  }
  if (absent) return finish(session, now, false);
  if (behind != nullptr && waited < lag_timeout) {
    return wait(session, behind->partition, behind->revision, session.began + lag_timeout);
  }
  if (session.request.kind != Kind::get) return cut(session, std::move(partitions));
  const UpdatePtr entry =
      partitions_.mirror(partitions.front())->tree().find(session.request.subtree);
  const std::string frame = native::encode_got(session.request.number, entry.get());
  session.client->connection->send(std::array<std::string_view, 1>{frame});
  charge(frame.size());
  finish(session, now, true);
}

// The owner may open another round under the same number.
void CatchUps::finish(Session& session, base::TimePoint now, bool sent) {
  net::Connection& connection = *session.client->connection;
  const Kind kind = session.request.kind;
  const std::uint64_t number = session.request.number;
  const base::Duration took = now - session.began;
  std::vector<Known> has = std::move(session.has);
  end(session);
  if (sent) {
    owner_.on_sent(connection, kind, number, std::move(has), took);
  } else {
    owner_.on_unavailable(connection, kind, number);
  }
}

// If an epoch was used twice, the client's revision may be of either history: it is voided, and the
// full state is sent. Deeper partitions come first: a client may not know of a part that was split
// off, and would take its keys for keys of the partition around it.
void CatchUps::cut(Session& session, std::vector<std::size_t> partitions) {
  if (!session.request.known.empty()) {
    std::ranges::stable_sort(partitions, std::ranges::greater(), [this](std::size_t partition) {
      return partitions_.subtree(partition).size();
    });
  }
  for (const std::size_t partition : partitions) {
    const Known* known = known_of(session.request.known, partition);
    const cluster::Mirror& mirror = *partitions_.mirror(partition);
    if (known != nullptr && (known->revision == Revision() || mirror.epoch_reused())) {
      session.parts.push_back({.partition = partition, .voids = true});
    }
    session.parts.push_back(part_of(session, partition));
    session.has.push_back({.partition = partition, .revision = mirror.revision()});
  }
  std::ranges::sort(session.has, {}, &Known::partition);
  if (session.request.resumes) {
    owner_.on_resync(std::ranges::all_of(
        session.parts, [](const Part& part) { return part.mode == Mode::changes; }));
  }
  forget_known(session);
  move(session, session.client->cut);
  if (session.request.kind == Kind::watch) {
    owner_.on_cut(*session.client->connection, session.request.number);
  }
}

CatchUps::Part CatchUps::part_of(const Session& session, std::size_t partition) const {
  const cluster::Mirror& mirror = *partitions_.mirror(partition);
  const keyspace::TreeView view = mirror.tree().view();
  Part part{.partition = partition,
            .revision = mirror.revision(),
            .view = view,
            .cursor = view.seek(session.request.subtree)};
  const Known* known = known_of(session.request.known, partition);
  const keyspace::Tombstones& tombstones = mirror.tombstones();
  if (known == nullptr || mirror.epoch_reused() ||
      known->revision.epoch() != part.revision.epoch() || known->revision > part.revision ||
      known->revision < tombstones.floor()) {
    return part;
  }
  part.mode = Mode::changes;
  part.since = known->revision;
  part.deletions = tombstones.after(known->revision);
  return part;
}

// False when the turn ends before the chunk is filled.
bool CatchUps::advance(Session& session, base::TimePoint now) {
  const auto last = fill(session);
  if (!last) return false;
  send_filled(session, *last);
  if (session.parts.empty()) {
    finish(session, now, true);
  } else {
    move(session, session.client->cut);  // behind the other requests of the client
  }
  return true;
}

// Subtracts the cost of one message from this turn.
void CatchUps::charge(std::size_t bytes) {
  bytes_left_ -= std::min(bytes_left_, bytes);
  entries_left_ -= std::min(entries_left_, message_cost);
}

// Examines entries within the bounds of this turn. Once the chunk is filled, returns whether it is
// the last of its part.
std::optional<bool> CatchUps::fill(Session& session) {
  Part& part = session.parts.front();
  Filling& filling = session.filling;
  const std::string& subtree = session.request.subtree;
  const std::uint64_t limit = session.request.limit;
  const auto room_for = [&](const UpdatePtr& update) {
    return filling.count == 0 ||
           (filling.entries.size() + update->bytes() + 64 <= settings_.chunk_bytes &&
            filling.count < native::max_entries);
  };
  for (;;) {
    const bool deletions = !part.deletions.done();
    const bool enough = limit > 0 && session.sent_entries == limit;
    if (enough) session.parts.resize(1);
    if (part.voids || enough ||
        (!deletions && (part.cursor.done() || !native::covers(subtree, (*part.cursor)->key)))) {
      return true;
    }
    if (filling.examined == entries_per_chunk) break;
    if (entries_left_ == 0) return std::nullopt;
    --entries_left_;
    ++examined_;
    ++filling.examined;
    const UpdatePtr& update = deletions ? *part.deletions : *part.cursor;
    const bool sent =
        deletions ? native::covers(subtree, update->key) && !part.view->contains(update->key)
                  : part.mode == Mode::full || update->revision > part.since;
    if (sent) {
      if (!room_for(update)) break;
      if (filling.entries.size() > settings_.chunk_bytes / 16) {  // a large value
        filling.entries.reserve(settings_.chunk_bytes);
      }
      native::append_entry(filling.entries, *update);
      ++filling.count;
      ++session.sent_entries;
    }
    deletions ? part.deletions.next() : part.cursor.next();
  }
  return false;
}

void CatchUps::send_filled(Session& session, bool last_of_part) {
  Filling filling = std::exchange(session.filling, {});
  const Part& part = session.parts.front();
  using More = native::ChunkHeader::More;
  native::ChunkHeader header{.request = session.request.number,
                             .partition = partitions_.subtree(part.partition),
                             .mode = part.mode,
                             .revision = part.revision,
                             .more = More::same_partition,
                             .count = filling.count};
  if (last_of_part) {
    session.parts.pop_front();
    header.more = session.parts.empty() ? More::last : More::next_partition;
  }
  charge(filling.entries.size());
  session.client->connection->send(native::encode(header),
                                   std::make_shared<const std::string>(std::move(filling.entries)));
}

}  // namespace canopy::proxy
