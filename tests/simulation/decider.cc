#include "tests/simulation/decider.h"

#include <fmt/format.h>

#include "core/wire/entry.h"
#include "tests/simulation/requests.h"

namespace canopy::simulation {

namespace {

using cluster::Replica;
using keyspace::LogEntry;
using keyspace::Revision;

// Calls `each` with every entry that is proposed and not yet committed.
template <typename Each>
void for_tail(const Replica& replica, Each&& each) {
  for (const LogEntry* entry = replica.log().after(replica.committed()); entry != nullptr;
       entry = replica.log().after(entry->update->revision)) {
    each(*entry);
  }
}

bool holds(const Replica& replica, const wire::Write& write) {
  if (!write.if_revision) return true;
  const keyspace::UpdatePtr kept = replica.tree().find(write.key);
  Revision current = kept ? kept->revision : Revision();
  for_tail(replica, [&](const LogEntry& entry) {
    if (entry.update->key != write.key) return;
    current = entry.update->deleted ? Revision() : entry.update->revision;
  });
  return current == *write.if_revision;
}

// Whether a key of the request is split off, or about to be.
bool splits(const Replica& replica, const wire::WriteRequest& request) {
  keyspace::Splits all = replica.splits();
  for_tail(replica, [&](const LogEntry& entry) {
    if (entry.update->splits) all.add(entry.update);
  });
  for (const wire::Write& write : request.writes) {
    if (all.cover(write.key)) return true;
  }
  return false;
}

std::vector<LogEntry> entries_of(const wire::WriteRequest& request, Revision next) {
  std::vector<LogEntry> entries;
  for (const wire::Write& write : request.writes) {
    keyspace::Entry fields{.key = write.key, .value = write.value, .uuid = write.uuid};
    fields.revision = next;
    fields.deleted = write.deletes;
    entries.push_back({wire::make_update(fields), nullptr, false});
    next = next.next();
  }
  entries.back().completes = true;
  entries.back().request = std::make_shared<keyspace::AppliedRequest>(keyspace::AppliedRequest{
      request.client, request.number, request.settled, entries.back().update->revision});
  return entries;
}

}  // namespace

void Decider::decide(Replica& replica, const wire::WriteRequest& request, Reply reply,
                     base::TimePoint now, Replica::Effects& out) {
  if (!replica.leads(now)) return reply({Answer::not_here});
  if (settled(replica.requests(), request)) return;
  if (const auto revision = answered(replica.requests(), request)) {
    return reply({Answer::committed, *revision});
  }
  std::optional<Revision> proposed;
  bool is_settled = false;
  for_tail(replica, [&](const LogEntry& entry) {
    if (!entry.request || entry.request->client != request.client) return;
    if (entry.request->number == request.number) proposed = entry.update->revision;
    is_settled = is_settled || request.number < entry.request->settled;
  });
  if (is_settled) return;
  if (proposed) {
    waiting_.emplace(*proposed, std::move(reply));
    return;
  }
  if (splits(replica, request)) return reply({Answer::not_here});
  if (!replica.enough_in_sync()) return reply({Answer::not_here});
  for (const wire::Write& write : request.writes) {
    if (!holds(replica, write)) return reply({Answer::refused});
  }
  std::vector<LogEntry> entries = entries_of(request, replica.next());
  waiting_.emplace(entries.back().update->revision, std::move(reply));
  replica.propose(std::move(entries), now, out);
}

void Decider::split(Replica& replica, base::TimePoint now, Replica::Effects& out) {
  if (!replica.leads(now) || !replica.enough_in_sync()) return;
  bool proposed = false;
  for_tail(replica, [&](const LogEntry& entry) { proposed = proposed || entry.update->splits; });
  for (const std::string& subtree : replica.record()->splits) {
    if (proposed || replica.splits().cover(subtree)) continue;
    const keyspace::Entry split{.key = subtree, .revision = replica.next(), .splits = true};
    replica.propose({{.update = wire::make_update(split)}}, now, out);
  }
}

void Decider::committed(const std::vector<LogEntry>& entries) {
  for (const LogEntry& entry : entries) {
    const auto [begin, end] = waiting_.equal_range(entry.update->revision);
    for (auto at = begin; at != end; ++at) at->second({Answer::committed, at->first});
    waiting_.erase(begin, end);
  }
}

}  // namespace canopy::simulation
