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
      checker_(scenario_),
      context_{random_, events_, trace_, scenario_, checker_, options.broken},
      coordinator_(context_),
      network_(context_) {
  std::map<std::string, Shard*> shards;
  for (const std::string& name : scenario_.shards) {
    auto& shard = shards_[name] = std::make_unique<Shard>(context_, coordinator_, network_, name);
    shards[name] = shard.get();
    coordinator_.add(*shard);
    if (shard->holds_replica()) network_.add(*shard);
  }
  clients_ = std::make_unique<Clients>(context_, coordinator_, shards);
  faults_ = std::make_unique<Faults>(context_, coordinator_, network_, shards);
  if (scenario_.honest_clocks) {
    checker_.expect_one_lease([this] {
      return std::count_if(shards_.begin(), shards_.end(),
                           [](const auto& each) { return each.second->leads(); });
    });
  }
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
  out.committed = checker_.history().size();
  out.epochs = coordinator_.record() ? coordinator_.record()->epoch : 0;
  out.lost = lost();
  return out;
}

void World::live() {
  for (auto& [name, shard] : shards_) {
    events_.after(random_.between(milliseconds(0), milliseconds(random_.chance(80) ? 10 : 2000)),
                  [&started = *shard] { started.start(); });
  }
  clients_->start();
  faults_->start();
  events_.run_until(events_.now() + scenario_.trouble);
}

void World::be_well() {
  faults_->mend();
  // Until all have noticed what had happened to leases.
  events_.run_until(events_.now() + 2 * scenario_.lease);
  clients_->stop_after(1);
  expect_well(seconds(25));
  if (lost()) return;
  // What is well can be written to, and stays well.
  const std::uint32_t epoch = coordinator_.record()->epoch;
  clients_->stop_after(1);
  expect_well(seconds(5));
  events_.run_until(events_.now() + seconds(1));
  require(complaint().empty() && coordinator_.record()->epoch == epoch, "Converged", [&] {
    return fmt::format("what was well in epoch {} is not in epoch {}: {}", epoch,
                       coordinator_.record()->epoch, complaint());
  });
}

void World::expect_well(base::Duration patience) {
  const base::TimePoint end = events_.now() + patience;
  while (events_.now() < end) {
    events_.run_until(events_.now() + milliseconds(100));
    if (clients_->quiet() && complaint().empty()) return;
  }
  if (!lost()) throw Violation("Converged", complaint());
  for (const auto& [name, shard] : shards_) {
    require(!shard->leads(), "Converged", [&leader = *shard] {
      return leader.name() + " leads, and no member of the set is left";
    });
  }
}

bool World::lost() const {
  const auto& record = coordinator_.record();
  return record &&
         std::none_of(record->in_sync.begin(), record->in_sync.end(), [&](const auto& id) {
           return shards_.at(id.shard)->identity() == id.identity;
         });
}

std::string World::complaint() const {
  const auto& record = coordinator_.record();
  if (!record) return "there is no record";
  const Shard& leader = *shards_.at(record->leader.shard);
  if (!leader.leads()) return leader.name() + " does not lead";
  if (leader.name() != coordinator_.placement().front()) {
    return leader.name() + " leads and is not preferred";
  }
  if (record->in_sync.size() != coordinator_.placement().size()) {
    return "not all are in sync: " + show(*record);
  }
  for (const auto& [name, shard] : shards_) {
    if (!shard->holds_replica()) continue;
    if (!cluster::has_shard(record->in_sync, name)) {
      if (shard->replica()->log().last() == keyspace::Revision()) continue;
      return name + " still has a copy";
    }
    std::string complaint = complaint_of(*shard, leader);
    if (!complaint.empty()) return complaint;
  }
  return clients_->quiet() ? "" : "a client waits for its answer";
}

std::string World::complaint_of(const Shard& shard, const Shard& leader) const {
  const cluster::Replica& replica = *shard.replica();
  if (&shard != &leader && shard.leads()) return shard.name() + " leads as well";
  if (replica.committed() != leader.replica()->committed()) {
    return fmt::format("{} has committed {}, and {} {}", shard.name(), show(replica.committed()),
                       leader.name(), show(leader.replica()->committed()));
  }
  if (!checker_.complete(replica)) {
    return shard.name() + " is not what was committed up to " + show(checker_.last());
  }
  for (const auto& [request, revision] : clients_->last_committed()) {
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
