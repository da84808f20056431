#include "tests/simulation/world.h"

#include <algorithm>

#include "tests/simulation/requests.h"

namespace canopy::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

World::World(Options options)
    : random_(options.seed),
      trace_(events_, options.trace),
      scenario_(Scenario::draw(random_)),
      part_checker_(scenario_, part_subtree, requests_, nullptr),
      checker_(scenario_, whole_subtree, requests_, &part_checker_),
      context_{random_, events_, trace_, scenario_, checker_, options.broken},
      whole_(context_, checker_) {
  if (scenario_.splits) part_.emplace(context_, part_checker_);
  if (part_) add_shards(*part_, nullptr);
  add_shards(whole_, part_ ? &*part_ : nullptr);
  clients_ = std::make_unique<Clients>(context_, whole_.coordinator,
                                       part_ ? &part_->coordinator : nullptr, whole_.pointers());
  std::vector<Faults::Side> sides{{whole_.coordinator, whole_.network, whole_.pointers()}};
  if (part_) sides.push_back({part_->coordinator, part_->network, part_->pointers()});
  faults_ = std::make_unique<Faults>(context_, std::move(sides));
}

void World::add_shards(Side& side, Side* part) {
  for (const std::string& name : scenario_.shards) {
    auto& shard = side.shards[name] =
        std::make_unique<Shard>(side.context, side.coordinator, side.network, name,
                                part == nullptr ? nullptr : part->shards.at(name).get());
    side.coordinator.add(*shard);
    if (shard->holds_replica()) side.network.add(*shard);
  }
  if (!scenario_.honest_clocks) return;
  side.checker.expect_one_lease([&side] {
    return std::count_if(side.shards.begin(), side.shards.end(),
                         [](const auto& each) { return each.second->leads(); });
  });
}

std::map<std::string, Shard*> World::Side::pointers() const {
  std::map<std::string, Shard*> all;
  for (const auto& [name, shard] : shards) all[name] = shard.get();
  return all;
}

Outcome World::run() {
  Outcome out;
  trace_("world", [&] { return scenario_.show(); });
  try {
    live();
    be_well();
  } catch (const Violation& violation) {
    trace_("check", [&] { return violation.invariant + ": " + violation.what(); });
    out.violation = violation;
  }
  out.events = events_.done();
  out.committed = checker_.history().size() + part_checker_.history().size();
  out.epochs = epochs();
  out.lost = lost();
  return out;
}

void World::live() {
  for (auto& [name, shard] : whole_.shards) {
    events_.after(random_.between(milliseconds(0), milliseconds(random_.chance(80) ? 10 : 2000)),
                  [&started = *shard] { started.start(); });
  }
  clients_->start();
  faults_->start();
  events_.run_until(events_.now() + scenario_.trouble);
}

void World::be_well() {
  faults_->mend();
  // Until every shard has noticed the changes of leases.
  events_.run_until(events_.now() + 2 * scenario_.lease);
  clients_->stop_after(1);
  expect_well(seconds(25));
  if (lost()) return;
  // A recovered partition accepts writes, and stays recovered.
  const std::uint32_t epoch = epochs();
  clients_->stop_after(1);
  expect_well(seconds(5));
  events_.run_until(events_.now() + seconds(1));
  require(complaint().empty() && epochs() == epoch, "Converged", [&] {
    return fmt::format("what was well in epoch {} is not in epoch {}: {}", epoch, epochs(),
                       complaint());
  });
}

void World::expect_well(base::Duration patience) {
  const base::TimePoint end = events_.now() + patience;
  while (events_.now() < end) {
    events_.run_until(events_.now() + milliseconds(100));
    if (clients_->quiet() && complaint().empty()) return;
  }
  if (!lost()) throw Violation("Converged", complaint());
  for (const Side* side : {&whole_, part_ ? &*part_ : nullptr}) {
    if (side == nullptr || !side->lost()) continue;
    for (const auto& [name, shard] : side->shards) {
      require(!shard->leads(), "Converged", [&leader = *shard] {
        return leader.name() + " leads, and no member of the set is left";
      });
    }
  }
}

std::uint32_t World::epochs() const {
  std::uint32_t sum = 0;
  for (const Side* side : {&whole_, part_ ? &*part_ : nullptr}) {
    if (side != nullptr && side->coordinator.record()) sum += side->coordinator.record()->epoch;
  }
  return sum;
}

bool World::Side::lost() const {
  const auto& record = coordinator.record();
  return record &&
         std::none_of(record->in_sync.begin(), record->in_sync.end(), [&](const auto& id) {
           return shards.at(id.shard)->identity() == id.identity;
         });
}

std::string World::complaint() const {
  std::string why = complaint(whole_);
  const auto& record = whole_.coordinator.record();
  if (why.empty() && part_ && record && !record->splits.empty()) why = complaint(*part_);
  return why;
}

std::string World::complaint(const Side& side) const {
  const auto& record = side.coordinator.record();
  if (!record) return "there is no record";
  const Shard& leader = *side.shards.at(record->leader.shard);
  if (!leader.leads()) return leader.name() + " does not lead";
  if (leader.name() != side.coordinator.placement().front()) {
    return leader.name() + " leads and is not preferred";
  }
  if (record->in_sync.size() != side.coordinator.placement().size()) {
    return "not all are in sync: " + show(*record);
  }
  for (const auto& [name, shard] : side.shards) {
    if (shard->replica() == nullptr) continue;
    if (!cluster::has_shard(record->in_sync, name)) {
      if (shard->replica()->log().last() == keyspace::Revision()) continue;
      return name + " still has a copy";
    }
    std::string complaint = complaint_of(side, *shard, leader);
    if (!complaint.empty()) return complaint;
  }
  return clients_->quiet() ? "" : "a client waits for its answer";
}

std::string World::complaint_of(const Side& side, const Shard& shard, const Shard& leader) const {
  const cluster::Replica& replica = *shard.replica();
  if (&shard != &leader && shard.leads()) return shard.name() + " leads as well";
  if (replica.committed() != leader.replica()->committed()) {
    return fmt::format("{} has committed {}, and {} {}", shard.name(), show(replica.committed()),
                       leader.name(), show(leader.replica()->committed()));
  }
  if (!side.checker.complete(replica)) {
    return shard.name() + " is not what was committed up to " + show(side.checker.last());
  }
  for (const auto& [request, revision] : clients_->last_committed()) {
    const bool here = &side == &whole_ ? !Clients::of_part(request) || replica.splits().empty()
                                       : Clients::of_part(request);
    if (!here) continue;
    if (answered(replica.requests(), request) != revision &&
        !settled(replica.requests(), request)) {
      return fmt::format("{} does not know of {} request {}", shard.name(), request.client,
                         request.number);
    }
  }
  const std::string trouble = replica.trouble(shard.local_now());
  return trouble.empty() ? "" : shard.name() + " complains: " + trouble;
}

}  // namespace canopy::simulation
