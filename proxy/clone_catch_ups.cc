#include "proxy/clone_catch_ups.h"

#include <algorithm>
#include <iterator>

namespace canopy::proxy {
namespace {

// True when the key has one of the prefixes. No prefix is a prefix of another.
bool covers(const std::vector<std::string>& sorted_prefixes, std::string_view key) {
  const auto above = std::ranges::upper_bound(sorted_prefixes, key);
  return above != sorted_prefixes.begin() && key.starts_with(*std::prev(above));
}

}  // namespace

void CloneCatchUps::begin(net::Connection& connection, std::string_view prefix) {
  const auto cuts = cuts_.since(prefix, backend_.now());
  if (cuts.empty()) return;
  Session& session = sessions_.try_emplace(connection.id(), connection).first->second;
  for (const std::size_t partition : backend_.partitions().covering(prefix)) {
    const auto cut = std::ranges::lower_bound(cuts, partition, {}, &RecentCuts::Cut::partition);
    if (cut == cuts.end() || cut->partition != partition) continue;
    const auto [known, added] = session.since.emplace(partition, *cut);
    if (!added) known->second = older(known->second, *cut);
  }
  session.prefixes.emplace_back(prefix);
  queue(connection.id(), session);
}

void CloneCatchUps::on_drained(const net::Connection& connection) {
  const auto known = sessions_.find(connection.id());
  if (known == sessions_.end()) return;
  known->second.room = Room::available;
  queue(known->first, known->second);
}

void CloneCatchUps::divide(std::size_t whole, std::size_t part) {
  for (auto& [id, session] : sessions_) {
    if (session.walk && session.walk->since.contains(whole)) {
      for (const auto& [partition, cut] : session.walk->since) {
        const auto [known, added] = session.since.emplace(partition, cut);
        if (!added) known->second = older(known->second, cut);
      }
      std::ranges::move(session.walk->prefixes, std::back_inserter(session.prefixes));
      session.walk.reset();
    }
    const auto known = session.since.find(whole);
    if (known == session.since.end()) continue;
    RecentCuts::Cut cut = known->second;
    cut.partition = part;
    session.since.emplace(part, cut);
  }
}

void CloneCatchUps::queue(std::uint64_t id, Session& session) {
  if (std::exchange(session.queued, true)) return;
  turns_.push_back(id);
}

std::optional<base::Duration> CloneCatchUps::serve() {
  std::size_t budget = entries_per_turn;
  std::vector<std::uint64_t> waiting;  // for a mirror, or for room without an event
  bool retry = false;
  while (!turns_.empty() && budget > 0) {
    const std::uint64_t id = turns_.front();
    turns_.pop_front();
    const auto known = sessions_.find(id);
    if (known == sessions_.end()) continue;
    Session& session = known->second;
    session.queued = false;
    std::size_t own = std::min(budget, entries_at_a_time);
    const std::size_t given = own;
    const Progress progress = advance(session, own);
    budget -= given - own;
    if (progress == Progress::done) {
      sessions_.erase(known);
    } else if (progress == Progress::more) {
      queue(id, session);
    } else if (session.room != Room::after_drain) {
      waiting.push_back(id);
      retry |= session.room == Room::retry;
    }
  }
  examined_ += entries_per_turn - budget;
  const bool more = !turns_.empty();
  for (const std::uint64_t id : waiting) queue(id, sessions_.at(id));
  if (more) return base::Duration{0};
  return retry ? std::optional(room_retry) : std::nullopt;
}

CloneCatchUps::Progress CloneCatchUps::advance(Session& session, std::size_t& budget) {
  if (session.connection->closing()) return Progress::done;
  session.room = Room::available;
  if (!session.walk) {
    if (session.prefixes.empty()) return Progress::done;
    start(session);
  }
  if (!ready(*session.walk)) return Progress::waits;
  while (budget > 0) {
    session.room = room_of(*session.connection, high_water_, backend_.queue_limit());
    if (session.room != Room::available) return Progress::waits;
    --budget;
    if (send_deletion(session) || send_entry(session, budget)) continue;
    session.walk.reset();
    return session.prefixes.empty() ? Progress::done : Progress::more;
  }
  return Progress::more;
}

void CloneCatchUps::start(Session& session) {
  session.walk = Walk{};
  Walk& walk = *session.walk;
  std::ranges::sort(session.prefixes);
  for (std::string& prefix : session.prefixes) {
    if (walk.prefixes.empty() || !prefix.starts_with(walk.prefixes.back())) {
      walk.prefixes.push_back(std::move(prefix));
    }
  }
  session.prefixes.clear();
  walk.since = std::exchange(session.since, {});
  walk.deletions_of = walk.since.begin();
}

// False while a mirror does not exist: its lease brings it back.
bool CloneCatchUps::ready(const Walk& walk) const {
  return std::ranges::all_of(walk.since, [this](const auto& each) {
    const cluster::Mirror* mirror = backend_.partitions().mirror(each.first);
    return mirror != nullptr && mirror->ready();
  });
}

keyspace::Revision CloneCatchUps::since(const Walk& walk, std::size_t partition) const {
  const RecentCuts::Cut& cut = walk.since.at(partition);
  const bool one_history = backend_.partitions().mirror(partition)->lineage() == cut.lineage;
  return one_history ? cut.revision : keyspace::Revision();
}

bool CloneCatchUps::send_deletion(Session& session) {
  Walk& walk = *session.walk;
  if (walk.deletions_of == walk.since.end()) return false;
  const cluster::Mirror& mirror = *backend_.partitions().mirror(walk.deletions_of->first);
  if (!walk.deletions) {
    walk.deletions = mirror.tombstones().after(since(walk, walk.deletions_of->first));
  }
  if (walk.deletions->done()) {
    walk.deletions.reset();
    ++walk.deletions_of;
    return true;
  }
  const keyspace::UpdatePtr deletion = **walk.deletions;
  walk.deletions->next();
  if (covers(walk.prefixes, deletion->key) && mirror.tree().find(deletion->key) == nullptr) {
    send(*session.connection, *deletion);
  }
  return true;
}

bool CloneCatchUps::send_entry(Session& session, std::size_t& budget) {
  Walk& walk = *session.walk;
  if (!walk.entries && !next_partition(walk, budget)) return false;
  if (!walk.entries) return true;
  const std::size_t partition = walk.partitions.back();
  if (walk.entries->done() || !(**walk.entries)->key.starts_with(walk.prefixes[walk.prefix])) {
    walk.entries.reset();
    walk.partitions.pop_back();
    if (walk.partitions.empty()) ++walk.prefix;
    return true;
  }
  const keyspace::UpdatePtr entry = **walk.entries;
  walk.entries->next();
  if (entry->revision > since(walk, partition)) {
    // If it has been deleted since, the subscriber already got the deletion.
    const auto present = backend_.partitions().mirror(partition)->tree().find(entry->key);
    if (present != nullptr) send(*session.connection, *present);
  }
  return true;
}

// Moves to the next partition that may hold keys of a prefix; false at the end.
bool CloneCatchUps::next_partition(Walk& walk, std::size_t& budget) {
  if (walk.prefix == walk.prefixes.size()) return false;
  const std::string& prefix = walk.prefixes[walk.prefix];
  if (walk.partitions.empty()) {
    walk.partitions = backend_.partitions().covering(prefix);
    budget -= std::min(budget, walk.partitions.size() / 16);
    std::erase_if(walk.partitions,
                  [&](std::size_t partition) { return !walk.since.contains(partition); });
  }
  if (walk.partitions.empty()) {
    ++walk.prefix;
  } else {
    const cluster::Mirror& mirror = *backend_.partitions().mirror(walk.partitions.back());
    walk.entries = mirror.tree().view().seek(prefix);
  }
  return true;
}

void CloneCatchUps::send(net::Connection& connection, const keyspace::Update& update) {
  connection.send(wire::clone::update(dialect_, update, backend_.next_stamp()).span());
}

}  // namespace canopy::proxy
