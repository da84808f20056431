#include "tests/simulation/coordinator.h"

#include <algorithm>

#include "tests/simulation/shard.h"

namespace canopy::simulation {

using cluster::Replica;

void Coordinator::add(Shard& shard) { watchers_[shard.name()].shard = &shard; }

base::Duration Coordinator::delay() {
  return context_.random.between(base::Duration(100), context_.scenario.max_directory_delay);
}

void Coordinator::when_reachable(Watcher& watcher, Events::Action action) {
  if (reachable(watcher)) return action();
  watcher.waiting.push_back(std::move(action));
}

void Coordinator::started(Shard& shard) {
  Watcher& watcher = watchers_.at(shard.name());
  list(watcher);
  if (context_.random.chance(30)) {
    // Another process was granted this generation, and may have led with it.
    const std::uint32_t generation =
        (record_ ? record_->epoch : 0) + static_cast<std::uint32_t>(context_.random.between(0, 2));
    shard.post(delay(), [generation](Replica& replica, base::TimePoint, Replica::Effects&) {
      replica.on_generation(generation);
    });
  }
}

void Coordinator::stopped(Shard& shard, bool goodbye) {
  Watcher& watcher = watchers_.at(shard.name());
  if (context_.random.chance(50)) watcher.waiting.clear();
  if (!goodbye) return;
  context_.events.after(delay(), [this, &watcher] {
    when_reachable(watcher, [this, &watcher] {
      if (watcher.shard->running()) return;
      watcher.lease = {};
      expire(watcher);
    });
  });
}

void Coordinator::renew(Shard& shard) {
  Watcher& watcher = watchers_.at(shard.name());
  const base::TimePoint sent = shard.local_now();
  const std::uint64_t process = shard.process();
  context_.events.after(delay(), [this, &watcher, sent, process] {
    if (!reachable(watcher) || watcher.shard->process() != process) return;
    watcher.lease = context_.events.now() + context_.scenario.lease;
    context_.events.at(watcher.lease, [this, &watcher] { expire(watcher); });
    if (alive_.insert(watcher.shard->name()).second) {
      context_.trace("coord", [&] { return watcher.shard->name() + " has a lease"; });
      tell_all_alive();
    }
    // The rest is for clocks that differ a little.
    const base::TimePoint deadline = sent + context_.scenario.lease * 95 / 100;
    watcher.shard->post(delay(), process,
                        [&watcher, deadline](Replica& replica, auto now, auto& out) {
                          watcher.shard->on_deadline(replica, deadline, now, out);
                        });
  });
}

void Coordinator::expire(Watcher& watcher) {
  if (!reachable_ || watcher.lease > context_.events.now()) return;
  if (alive_.erase(watcher.shard->name()) == 0) return;
  context_.trace("coord", [&] { return "the lease of " + watcher.shard->name() + " is over"; });
  tell_all_alive();
}

// Leases first: if the record arrives before the lease of its leader, the leader seems gone.
void Coordinator::list(Watcher& watcher) {
  tell_alive(watcher);
  tell_record(watcher);
}

void Coordinator::tell_record(Watcher& watcher) {
  if (!reachable(watcher)) return;
  watcher.record_told = std::max(watcher.record_told, context_.events.now() + delay());
  watcher.shard->post(watcher.record_told - context_.events.now(),
                      [shard = watcher.shard, record = record_, version = record_version_](
                          Replica& replica, auto now, auto& out) {
                        shard->on_record(replica, record, version, now, out);
                      });
}

void Coordinator::tell_alive(Watcher& watcher) {
  if (!reachable(watcher)) return;
  if (context_.scenario.honest_clocks) watcher.alive_told = watcher.record_told;
  watcher.alive_told = std::max(watcher.alive_told, context_.events.now() + delay());
  if (context_.scenario.honest_clocks) watcher.record_told = watcher.alive_told;
  watcher.shard->post(watcher.alive_told - context_.events.now(),
                      [alive = alive_](Replica& replica, auto now, auto& out) {
                        replica.on_shards(alive, now, out);
                      });
}

void Coordinator::tell_all_alive() {
  ++version_;
  for (auto& [name, watcher] : watchers_) tell_alive(watcher);
}

void Coordinator::compare_and_set(Shard& shard, Replica::Proposal proposal, Outcome outcome) {
  Watcher& watcher = watchers_.at(shard.name());
  context_.events.after(
      delay(), [this, &watcher, proposal = std::move(proposal), outcome = std::move(outcome)] {
        when_reachable(watcher,
                       [this, &watcher, proposal, outcome] { decide(watcher, proposal, outcome); });
      });
}

void Coordinator::decide(Watcher& watcher, const Replica::Proposal& proposal, Outcome outcome) {
  const bool taken = proposal.expected == record_version_;
  context_.trace("coord", [&] {
    return fmt::format("{} of {}: {}", taken ? "takes" : "refuses", watcher.shard->name(),
                       show(proposal.record));
  });
  if (taken) {
    record_ = proposal.record;
    record_version_ = ++version_;
    context_.checker.recorded(*record_);
    for (auto& [name, other] : watchers_) tell_record(other);
  }
  base::Duration until_told = delay();
  if (context_.random.chance(10))
    until_told += context_.random.between({}, std::chrono::seconds(1));
  context_.events.after(until_told, [this, &watcher, taken, outcome = std::move(outcome)] {
    when_reachable(watcher, [taken, outcome] { outcome(taken); });
  });
}

void Coordinator::place(const std::vector<std::string>& shards) {
  if (!record_) return;
  record_->placement = shards;
  order("an operator places it: ");
}

void Coordinator::split() {
  if (!record_ || !record_->splits.empty()) return;
  record_->splits = {part_subtree};
  order("an operator splits it: ");
}

void Coordinator::order(const char* what) {
  record_version_ = ++version_;
  context_.trace("coord", [&] { return what + show(*record_); });
  context_.checker.recorded(*record_);
  for (auto& [name, watcher] : watchers_) tell_record(watcher);
}

const std::string& Coordinator::name_of(const Shard& shard) { return shard.name(); }

void Coordinator::reach_all(bool reachable_now) {
  if (reachable_ == reachable_now) return;
  reachable_ = reachable_now;
  context_.trace("coord", [&] { return reachable_now ? "is back" : "is away"; });
  if (!reachable_now) return;
  // Leases that ran out meanwhile may be given some time to be renewed.
  const bool patient = context_.random.chance(70);
  for (auto& [name, watcher] : watchers_) {
    if (patient) watcher.lease = context_.events.now() + context_.scenario.lease;
    context_.events.at(watcher.lease, [this, &held = watcher] { expire(held); });
    reached(watcher);
  }
}

void Coordinator::reach(const std::string& shard, bool reachable_now) {
  Watcher& watcher = watchers_.at(shard);
  if (watcher.reachable == reachable_now) return;
  watcher.reachable = reachable_now;
  context_.trace("coord", [&] { return (reachable_now ? "reaches " : "does not reach ") + shard; });
  reached(watcher);
}

void Coordinator::reached(Watcher& watcher) {
  if (!reachable(watcher)) return;
  for (Events::Action& action : std::exchange(watcher.waiting, {})) {
    context_.events.after(delay(), [this, &watcher, action = std::move(action)]() mutable {
      when_reachable(watcher, std::move(action));
    });
  }
  list(watcher);
}

}  // namespace canopy::simulation
