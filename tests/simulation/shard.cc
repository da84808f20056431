#include "tests/simulation/shard.h"

#include <algorithm>

#include "tests/simulation/coordinator.h"
#include "tests/simulation/network.h"

namespace canopy::simulation {

using std::chrono::milliseconds;

Shard::Shard(Context context, Coordinator& coordinator, Network& network, std::string name)
    : context_(context),
      coordinator_(coordinator),
      network_(network),
      name_(std::move(name)),
      broken_(context.broken) {
  const auto& placement = context_.scenario.settings.placement;
  holds_replica_ = context_.scenario.moves ||
                   std::find(placement.begin(), placement.end(), name_) != placement.end();
}

base::TimePoint Shard::local_now() const {
  return local_start_ + (context_.events.now() - started_) * clock_rate_ / 1000;
}

void Shard::start() {
  if (running_) return;
  Random& random = context_.random;
  running_ = true;
  ++process_;
  started_ = context_.events.now();
  deadline_ = {};
  local_start_ = started_ + random.between(milliseconds(-1000), milliseconds(1000));
  clock_rate_ =
      context_.scenario.honest_clocks ? random.between(995, 1005) : random.between(500, 2000);
  if (holds_replica_) {
    if (!disk_)
      disk_.emplace(fmt::format("{}{}", name_, ++copies_), context_.scenario.settings.retain);
    Replica::Settings settings = context_.scenario.settings;
    settings.self = {name_, disk_->identity()};
    settings.random = [&random] { return random.next(); };
    Replica::Recovered recovered = disk_->recovered();
    context_.trace(name_, [&] {
      return fmt::format("starts as {}, committed {}, then {} {}", disk_->identity(),
                         show(recovered.committed), show(recovered.tail), show(recovered.history));
    });
    context_.checker.started(name_, *disk_);
    broken_.recover(recovered, settings.self);
    replica_.emplace(std::move(settings), std::move(recovered), local_now());
    network_.started(name_);
    every(context_.scenario.tick,
          [this] { enter([](Replica& replica, auto now, auto& out) { replica.tick(now, out); }); });
  }
  coordinator_.started(*this);
  coordinator_.renew(*this);
  every(context_.scenario.lease / 4, [this] { coordinator_.renew(*this); });
}

void Shard::crash(bool goodbye) {
  if (!running_) return;
  context_.trace(name_, [&] { return goodbye ? "says goodbye and ends" : "crashes"; });
  running_ = paused_ = disk_works_ = false;
  ++process_;
  inbox_.clear();
  replica_.reset();
  decider_.forget();
  if (disk_ && context_.scenario.disk) {
    disk_->crash(context_.random);
    context_.checker.stored(name_);
  } else if (disk_) {
    context_.checker.lost(name_);
    disk_.reset();
  }
  network_.stopped(name_);
  coordinator_.stopped(*this, goodbye);
}

void Shard::pause(bool paused) {
  if (!running_ || paused_ == paused) return;
  paused_ = paused;
  context_.trace(name_, [&] { return paused ? "pauses" : "goes on"; });
  if (paused) return;
  for (const Input& input : std::exchange(inbox_, {})) enter(input);
  work_on_disk();
}

// What is left is another, empty replica.
void Shard::drop_if_dispensable() {
  if (!replica_ || !replica_->dispensable()) return;
  context_.trace(name_, [] { return "drops its copy"; });
  crash(true);
  if (disk_) context_.checker.lost(name_);
  disk_.reset();
  start();
}

void Shard::every(base::Duration period, std::function<void()> action) {
  context_.events.after(period, [this, period, process = process_, action = std::move(action)] {
    if (process != process_) return;
    if (!paused_) action();
    every(period, action);
  });
}

void Shard::post(base::Duration delay, std::uint64_t process, Input input) {
  context_.events.after(delay, [this, process, input = std::move(input)]() mutable {
    if (process != process_) return;
    if (paused_) {
      inbox_.push_back(std::move(input));
    } else {
      enter(input);
    }
  });
}

void Shard::request(base::Duration delay, wire::WriteRequest request, Decider::Reply reply) {
  // A request is not bound to the process that ran when it was sent.
  context_.events.after(delay, [this, request = std::move(request), reply = std::move(reply)] {
    post(base::Duration::zero(), [this, request, reply](Replica& replica, auto now, auto& out) {
      decider_.decide(replica, request, reply, now, out);
    });
  });
}

void Shard::on_record(Replica& replica, std::optional<cluster::PartitionRecord> record,
                      std::uint64_t version, base::TimePoint now, Replica::Effects& out) {
  context_.trace(name_, [&] {
    return fmt::format("hears of record {}: {}", version, record ? show(*record) : "none");
  });
  broken_.see(record, {name_, disk_->identity()});
  replica.on_record(std::move(record), version, now, out);
}

void Shard::on_deadline(Replica& replica, base::TimePoint deadline, base::TimePoint now,
                        Replica::Effects& out) {
  deadline_ = deadline;
  replica.on_deadline(deadline, now, out);
}

void Shard::receive(const std::string& from, wire::ToLeader message) {
  post(base::Duration::zero(),
       [this, from, message = std::move(message)](Replica& replica, auto now, auto& out) {
         broken_.hear(message);
         replica.on_message(from, message, now, out);
       });
}

void Shard::receive(const std::string& from, wire::ToFollower message) {
  post(base::Duration::zero(),
       [from, message = std::move(message)](Replica& replica, auto now, auto& out) {
         replica.on_message(from, message, now, out);
       });
}

void Shard::enter(const Input& input) {
  if (!replica_) return;
  const base::TimePoint now = local_now();
  Replica::Effects out;
  input(*replica_, now, out);
  carry_out(out, now);
  if (replica_->log().last() == keyspace::Revision() || !replica_->dispensable()) return;
  context_.events.after({}, [this, process = process_] {
    if (process == process_ && !paused_) drop_if_dispensable();
  });
}

void Shard::carry_out(Replica::Effects& out, base::TimePoint now) {
  for (Replica::Store& store : out.store) {
    context_.trace(
        name_, [&] { return fmt::format("store {}: {}", store.ticket, show(store.operation)); });
    disk_->ask(std::move(store));
  }
  work_on_disk();
  for (Replica::Message& message : out.messages)
    network_.send(name_, message.to, std::move(message.body));
  if (out.proposal) propose(*out.proposal);
  report(out, now);
  send_to_followers(now);
}

void Shard::report(const Replica::Effects& out, base::TimePoint now) {
  Checker& checker = context_.checker;
  const bool leads = replica_->leads(now);
  if (out.leadership_changed) {
    context_.trace(name_, [&] {
      return fmt::format("{} in epoch {}~{:04x}", leads ? "leads" : "does not lead",
                         replica_->epoch(), replica_->lineage() & 0xffff);
    });
    decider_.forget();
  }
  if (out.replaced) {
    checker.installed(name_, *replica_);
  } else if (!out.committed.empty()) {
    context_.trace(name_, [&] { return "commits " + show(out.committed); });
    const bool follows = replica_->record() && replica_->record()->leader.shard != name_;
    const auto& record = replica_->record();
    const bool moved = record && !record->placement.empty();
    const bool alone =
        (moved ? record->placement : context_.scenario.settings.placement) == std::vector{name_};
    require(follows || alone || now < deadline_, "OneLeader",
            [&] { return name_ + " commits after the deadline of its lease"; });
    checker.committed(name_, out.committed);
    // What was committed before it proposed to hand over it publishes, too.
    if (leads || (!follows && served_ == std::pair(replica_->epoch(), replica_->lineage()))) {
      checker.published(*replica_, out.committed);
      decider_.committed(out.committed);
    }
  }
  if (!leads) return;
  served_ = {replica_->epoch(), replica_->lineage()};
  checker.leads(name_, *replica_);
}

void Shard::propose(const Replica::Proposal& proposal) {
  context_.trace(name_, [&] {
    return fmt::format("proposes after record {}: {}", proposal.expected, show(proposal.record));
  });
  const auto told = [this, process = process_](bool taken) {
    post(base::Duration::zero(), process, [this, taken](Replica& replica, auto now, auto& out) {
      context_.trace(name_, [&] { return taken ? "hears: taken" : "hears: not taken"; });
      replica.on_proposed(taken, now, out);
    });
  };
  const bool early = broken_.takes_early(coordinator_.record(), proposal.record);
  if (early) told(true);
  coordinator_.compare_and_set(*this, proposal, early ? [](bool) {} : Coordinator::Outcome(told));
}

void Shard::work_on_disk() {
  if (disk_works_ || paused_ || !disk_ || disk_->waiting() == 0) return;
  disk_works_ = true;
  base::Duration delay{};
  if (context_.scenario.disk) {
    delay = context_.random.between(base::Duration(100), context_.scenario.max_disk_delay);
    if (slow_disk_) delay += context_.random.between(milliseconds(0), milliseconds(1500));
  }
  context_.events.after(delay, [this, process = process_] {
    if (process != process_) return;
    disk_works_ = false;
    const std::size_t group =
        context_.scenario.disk ? 1 + context_.random.below(disk_->waiting()) : disk_->waiting();
    const std::uint64_t ticket = disk_->complete(group);
    context_.checker.stored(name_);
    post(base::Duration::zero(),
         [ticket](Replica& replica, auto now, auto& out) { replica.stored(ticket, now, out); });
    work_on_disk();
  });
}

void Shard::send_to_followers(base::TimePoint now) {
  for (const std::string& follower : replica_->waiting()) {
    while (network_.room(name_, follower) > 0) {
      std::optional<wire::ToFollower> message = replica_->next_for(follower, now);
      if (!message) break;
      if (const auto forged = broken_.send(follower, *message)) {
        post(base::Duration::zero(), [follower, forged](Replica& replica, auto at, auto& out) {
          replica.on_message(follower, wire::ToLeader(*forged), at, out);
        });
      }
      network_.send(name_, follower, std::move(*message));
    }
  }
}

}  // namespace canopy::simulation
