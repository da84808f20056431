#include "tests/simulation/shard.h"

#include <algorithm>

#include "tests/simulation/coordinator.h"
#include "tests/simulation/network.h"

namespace canopy::simulation {

using std::chrono::milliseconds;

Shard::Shard(Context context, Coordinator& coordinator, Network& network, std::string name,
             Shard* part)
    : context_(context),
      coordinator_(coordinator),
      network_(network),
      name_(std::move(name)),
      part_(part),
      broken_(context.broken) {
  if (part_ != nullptr) part_->whole_ = this;
  const auto& placement = context_.scenario.settings.placement;
  holds_replica_ = context_.scenario.moves || context_.scenario.splits ||
                   std::find(placement.begin(), placement.end(), name_) != placement.end();
}

base::TimePoint Shard::local_now() const {
  return local_start_ + (context_.events.now() - started_) * clock_rate_ / 1000;
}

void Shard::start() {
  start_own();
  if (part_ != nullptr) part_->start_own();
}

void Shard::start_own() {
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
    if (!disk_ && whole_ == nullptr) {
      disk_.emplace(fmt::format("{}{}", name_, ++copies_), context_.scenario.settings.retain);
    }
    if (disk_) open(disk_->recovered());
    network_.started(name_);
    every(context_.scenario.tick, [this] { tick(); });
  }
  coordinator_.started(*this);
  coordinator_.renew(*this);
  every(context_.scenario.lease / 4, [this] { coordinator_.renew(*this); });
}

void Shard::open(Replica::Recovered recovered) {
  Replica::Settings settings = context_.scenario.settings;
  if (whole_ != nullptr) settings.partition = part_subtree;
  settings.self = {name_, disk_->identity()};
  settings.random = [&random = context_.random] { return random.next(); };
  context_.trace(name_, [&] {
    return fmt::format("starts {} as {}, committed {}, then {} {}", settings.partition,
                       disk_->identity(), show(recovered.committed), show(recovered.tail),
                       show(recovered.history));
  });
  context_.checker.started(name_, *disk_);
  broken_.recover(recovered, settings.self);
  replica_.emplace(std::move(settings), std::move(recovered), local_now());
}

void Shard::tick() {
  if (!replica_) return open_if_placed();
  enter([this](Replica& replica, auto now, auto& out) {
    replica.tick(now, out);
    if (part_ == nullptr) return;
    decider_.split(replica, now, out);
    create_part(replica);
  });
}

// --- a part -----------------------------------------------------------------------------------

void Shard::adopt(const std::string& identity, Replica::SplitOff made) {
  if (disk_ || !running_) return;
  Replica::Recovered begin = made.copy;
  begin.tombstones.reset();
  disk_.emplace(identity, context_.scenario.settings.retain, std::move(begin));
  real_ = false;
  open(std::move(made.copy));
  introduce();
}

// Links and the coordinator report their state to the new replica.
void Shard::introduce() {
  network_.stopped(name_);
  network_.started(name_);
  coordinator_.opened(*this);
}

void Shard::make_real() {
  real_ = true;
  work_on_disk();
}

// Opens the part's copy if the record places it here.
void Shard::open_if_placed() {
  const auto& record = coordinator_.record();
  if (!record || whole_ == nullptr) return;
  const bool here = std::ranges::count(record->placement, name_) > 0 ||
                    cluster::has_shard(record->in_sync, name_);
  if (!here || awaits_split(*record)) return;
  disk_.emplace(fmt::format("{}{}part", name_, ++copies_), context_.scenario.settings.retain);
  open({});
  introduce();
}

bool Shard::awaits_split(const cluster::PartitionRecord& record) const {
  if (!whole_->replica_) return whole_->disk_.has_value();  // it starts with this one
  const cluster::ReplicaId self{name_, whole_->identity()};
  return std::ranges::count(record.in_sync, self) > 0 &&
         !whole_->replica_->splits().cover(part_subtree);
}

void Shard::create_part(Replica& replica) {
  if (replica.unrecorded().empty() || context_.random.chance(50)) return;
  if (part_->coordinator_.record()) return replica.on_split_recorded(part_subtree);
  const auto origin = replica.origin();
  if (!part_->replica_ || !origin) return;
  part_->post({}, [origin](Replica& part, base::TimePoint now, Replica::Effects& out) {
    part.create(*origin, now, out);
  });
}

bool Shard::is_of_part(const wire::WriteRequest& request) const {
  if (part_ == nullptr || !request.writes.front().key.starts_with(part_subtree)) return false;
  return part_->replica_ || part_->coordinator_.record() ||
         (replica_ && replica_->splits().cover(part_subtree));
}

// --- faults -----------------------------------------------------------------------------------

// The copy of the whole first: if it has stored the split, the part has its copy.
void Shard::crash(bool goodbye) {
  crash_own(goodbye);
  if (part_ != nullptr) part_->crash_own(goodbye);
}

void Shard::crash_own(bool goodbye) {
  if (!running_) return;
  context_.trace(name_, [&] { return goodbye ? "resigns and ends" : "crashes"; });
  running_ = paused_ = disk_works_ = false;
  ++process_;
  inbox_.clear();
  replica_.reset();
  decider_.forget();
  if (disk_ && context_.scenario.disk && real_) {
    disk_->crash(context_.random);
    context_.checker.stored(name_);
    if (disk_->take_split()) part_->real_ = true;
  } else if (disk_) {
    context_.checker.lost(name_);
    disk_.reset();
  }
  real_ = true;
  network_.stopped(name_);
  coordinator_.stopped(*this, goodbye);
}

void Shard::pause(bool paused) {
  if (part_ != nullptr) part_->pause(paused);
  if (!running_ || paused_ == paused) return;
  paused_ = paused;
  context_.trace(name_, [&] { return paused ? "pauses" : "goes on"; });
  if (paused) return;
  for (const Input& input : std::exchange(inbox_, {})) enter(input);
  work_on_disk();
}

// Then the shard has another, empty replica.
void Shard::drop_if_dispensable() {
  if (!replica_ || !replica_->dispensable()) return;
  context_.trace(name_, [] { return "drops its copy"; });
  // The store carries out the pending operations first.
  if (real_) disk_->complete(disk_->waiting());
  if (disk_->take_split()) part_->make_real();
  crash_own(true);
  if (disk_) context_.checker.lost(name_);
  disk_.reset();
  start_own();
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
    if (is_of_part(request)) return part_->request({}, request, reply);
    const Decider::Reply checked = [this, request, reply](Answer answer) {
      if (answer.outcome == Answer::committed) {
        context_.checker.answered(request.client, request.number, answer.revision);
      }
      reply(answer);
    };
    post(base::Duration::zero(), [this, request, checked](Replica& replica, auto now, auto& out) {
      decider_.decide(replica, request, checked, now, out);
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
        name_, [&] { return fmt::format("store {}: {}", store.sequence, show(store.operation)); });
    disk_->ask(std::move(store));
  }
  work_on_disk();
  for (Replica::Message& message : out.messages)
    network_.send(name_, message.to, std::move(message.body));
  if (out.proposal) propose(*out.proposal);
  report(out, now);
  for (Replica::SplitOff& made : out.split_off) part_->adopt(disk_->identity(), std::move(made));
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
    // It also publishes the entries committed before it proposed to hand over.
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
  const auto on_proposed = [this, process = process_](bool taken) {
    post(base::Duration::zero(), process, [this, taken](Replica& replica, auto now, auto& out) {
      context_.trace(name_, [&] { return taken ? "proposal stored" : "proposal refused"; });
      replica.on_proposed(taken, now, out);
    });
  };
  const bool early = broken_.takes_early(coordinator_.record(), proposal.record);
  if (early) on_proposed(true);
  coordinator_.compare_and_set(*this, proposal,
                               early ? [](bool) {} : Coordinator::Outcome(on_proposed));
}

void Shard::work_on_disk() {
  if (disk_works_ || paused_ || !disk_ || !real_ || disk_->waiting() == 0) return;
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
    const std::uint64_t sequence = disk_->complete(group);
    context_.checker.stored(name_);
    if (disk_->take_split()) part_->make_real();
    post(base::Duration::zero(),
         [sequence](Replica& replica, auto now, auto& out) { replica.stored(sequence, now, out); });
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
