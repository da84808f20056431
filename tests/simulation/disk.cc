#include "tests/simulation/disk.h"

#include <algorithm>

#include "tests/simulation/checker.h"
#include "tests/simulation/trace.h"

namespace canopy::simulation {

namespace {

// A position is behind all that is stored: (epoch, 0) when nothing of the epoch is.
keyspace::Revision end_of(const cluster::Replica::Recovered& state) {
  if (state.history.empty()) return state.committed;
  return {state.history.back().epoch, state.history.back().last};
}

}  // namespace

std::uint64_t Disk::complete(std::size_t operations) {
  std::uint64_t sequence = 0;
  for (std::size_t i = 0; i < operations; ++i) {
    const Replica::Store next = std::move(asked_.front());
    asked_.pop_front();
    carry_out(next.operation);
    sequence = next.sequence;
  }
  return sequence;
}

void Disk::crash(Random& random) {
  if (!asked_.empty() && random.chance(60)) {
    complete(random.below(asked_.size() + 1));
    if (!asked_.empty()) {
      if (auto* torn = std::get_if<Replica::StoreEntries>(&asked_.front().operation)) {
        torn->entries.resize(random.below(torn->entries.size() + 1));
        if (!torn->committed && !torn->entries.empty()) complete(1);
      }
    }
  }
  asked_.clear();
}

bool Disk::holds(const keyspace::LogEntry& entry) const {
  const keyspace::Revision revision = entry.update->revision;
  if (revision <= state_.committed) return true;
  const auto at = std::lower_bound(
      state_.tail.begin(), state_.tail.end(), revision,
      [](const keyspace::LogEntry& a, keyspace::Revision b) { return a.update->revision < b; });
  return at != state_.tail.end() && at->update->revision == revision &&
         at->update->encoded() == entry.update->encoded();
}

void Disk::carry_out(const Replica::Operation& operation) {
  if (const auto* epoch = std::get_if<Replica::BeginEpoch>(&operation)) {
    require(epoch->epoch > end_of(state_).epoch(), "Contract",
            [&] { return identity_ + " stores an epoch twice: " + show(operation); });
    state_.history.push_back({epoch->epoch, epoch->lineage, 0});
  } else if (const auto* store = std::get_if<Replica::StoreEntries>(&operation)) {
    append(store->entries);
    if (store->committed && !store->entries.empty()) {
      committed_.insert(committed_.end(), store->entries.begin(), store->entries.end());
      commit(store->entries.back().update->revision);
    }
  } else if (const auto* cut = std::get_if<Replica::Truncate>(&operation)) {
    truncate(cut->to);
  } else if (const auto* mark = std::get_if<Replica::Commit>(&operation)) {
    commit(mark->to);
  } else if (const auto* part = std::get_if<Replica::Split>(&operation)) {
    split(*part);
  } else if (const auto* whole = std::get_if<Replica::Install>(&operation)) {
    install(*whole);
  } else {
    state_.record = std::get<Replica::Remember>(operation).record;
  }
}

void Disk::append(const std::vector<keyspace::LogEntry>& entries) {
  for (const keyspace::LogEntry& entry : entries) {
    const keyspace::Revision revision = entry.update->revision;
    require(!state_.history.empty() && revision == end_of(state_).next(), "Contract", [&] {
      return identity_ + " stores " + show(revision) + " after " + show(end_of(state_));
    });
    state_.tail.push_back(entry);
    state_.history.back().last = revision.counter();
  }
}

void Disk::truncate(keyspace::Revision to) {
  require(to >= state_.committed, "Contract", [&] {
    return identity_ + " truncates to " + show(to) + " what is committed to " +
           show(state_.committed);
  });
  while (!state_.tail.empty() && state_.tail.back().update->revision > to) state_.tail.pop_back();
  auto& history = state_.history;
  while (!history.empty() && history.back().epoch > to.epoch()) history.pop_back();
  if (!history.empty() && history.back().epoch == to.epoch()) {
    history.back().last = std::min(history.back().last, to.counter());
  }
}

void Disk::commit(keyspace::Revision to) {
  std::size_t done = 0;
  for (; done < state_.tail.size() && state_.tail[done].update->revision <= to; ++done) {
    if (retain_ && !state_.tail[done].update->splits) {
      state_.tree.apply(state_.tail[done].update);
    }
    if (state_.tail[done].request) state_.requests.push_back(*state_.tail[done].request);
  }
  state_.tail.erase(state_.tail.begin(), state_.tail.begin() + static_cast<std::ptrdiff_t>(done));
  state_.committed = std::max(state_.committed, to);
}

void Disk::split(const Replica::Split& split) {
  commit(split.entry->revision);
  state_.tree.extract(split.entry->key);
  state_.splits.extract(split.entry->key);
  state_.splits.add(split.entry);
  split_ = true;
}

void Disk::install(const Replica::Install& whole) {
  state_.tree = {};
  for (auto at = whole.tree.seek(""); !at.done(); at.next()) state_.tree.put(*at);
  state_.splits = {};
  for (const keyspace::UpdatePtr& split : whole.splits) state_.splits.add(split);
  state_.requests = whole.requests;
  state_.committed = whole.cut;
  state_.tail.clear();
  state_.history = whole.history;
}

}  // namespace canopy::simulation
