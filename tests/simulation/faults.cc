#include "tests/simulation/faults.h"

#include <algorithm>

#include "tests/simulation/coordinator.h"
#include "tests/simulation/network.h"
#include "tests/simulation/shard.h"

namespace canopy::simulation {

using std::chrono::milliseconds;

Faults::Faults(Context context, std::vector<Side> sides)
    : context_(context), sides_(std::move(sides)), shards_(sides_.front().shards) {
  for (const auto& [name, shard] : shards_) names_.push_back(name);
}

void Faults::start() {
  if (!context_.scenario.faults.empty()) next();
}

void Faults::next() {
  const base::Duration wait = context_.random.between({}, 2 * context_.scenario.between_faults);
  context_.events.after(wait, [this] {
    if (over_) return;
    strike(context_.random.pick(context_.scenario.faults));
    next();
  });
}

void Faults::mend() {
  over_ = true;
  context_.trace("world", [] { return "all is well from now on"; });
  for (Side& side : sides_) {
    side.coordinator.reach_all(true);
    side.network.mend();
  }
  for (auto& [name, shard] : shards_) {
    for (Side& side : sides_) {
      side.coordinator.reach(name, true);
      side.shards.at(name)->slow_disk(false);
    }
    shard->start();
    shard->pause(false);
    for (const std::string& other : context_.scenario.settings.placement) {
      for (Side& side : sides_) {
        if (name != other) side.network.cut(name, other, false);
      }
    }
  }
}

Shard& Faults::any_shard() {
  // Mostly the leader, because its faults find the most errors.
  const Side& side = sides_.size() == 1 ? sides_.front() : context_.random.pick(sides_);
  const auto& record = side.coordinator.record();
  if (record && context_.random.chance(40)) return *shards_.at(record->leader.shard);
  return *shards_.at(context_.random.pick(names_));
}

void Faults::later(std::function<void()> mended) {
  const base::Duration wait = context_.random.chance(50)
                                  ? context_.random.between({}, milliseconds(300))
                                  : context_.random.between({}, 3 * context_.scenario.lease);
  context_.events.after(wait, [this, mended = std::move(mended)] {
    if (!over_) mended();
  });
}

bool Faults::fatal(const Shard& shard, const Side& side) const {
  const auto& record = side.coordinator.record();
  if (context_.scenario.disk) return false;
  if (!record) return &side == &sides_.front();
  for (const cluster::ReplicaId& member : record->in_sync) {
    if (member.shard != shard.name() &&
        side.shards.at(member.shard)->identity() == member.identity) {
      return false;
    }
  }
  return true;
}

void Faults::crash(Shard& shard) {
  const bool is_fatal =
      std::ranges::any_of(sides_, [&](const Side& side) { return fatal(shard, side); });
  if (is_fatal && !context_.random.chance(5)) return;
  shard.crash(context_.random.chance(25));
  later([&shard] { shard.start(); });
}

void Faults::move() {
  const cluster::Replica::Settings& settings = context_.scenario.settings;
  std::vector<std::string> shards = names_;
  context_.random.shuffle(shards);
  // No fewer replicas than the scenario has, because a single copy in memory promises nothing.
  const std::size_t least = std::min<std::size_t>(settings.placement.size(), 2);
  shards.resize(std::min(shards.size(), least + context_.random.below(2)));
  const Side& side = sides_.size() == 1 ? sides_.front() : context_.random.pick(sides_);
  side.coordinator.place(shards);
}

void Faults::strike(Fault fault) {
  Shard& shard = any_shard();
  const std::string& other = context_.random.pick(context_.scenario.settings.placement);
  const bool connected = shard.holds_replica() && other != shard.name();
  switch (fault) {
    case Fault::crash: return crash(shard);
    case Fault::crash_all:
      if (!context_.random.chance(context_.scenario.disk ? 30 : 3)) return;
      for (auto& [name, each] : shards_) {
        each->crash(false);
        later([&started = *each] { started.start(); });
      }
      return;
    case Fault::move: return move();
    case Fault::split: return sides_.front().coordinator.split();
    case Fault::pause: shard.pause(true); return later([&shard] { shard.pause(false); });
    case Fault::disconnect:
      for (Side& side : sides_) {
        if (connected) side.network.disconnect(shard.name(), other);
      }
      return;
    case Fault::cut:
      if (!connected) return;
      for (Side& side : sides_) side.network.cut(shard.name(), other, true);
      return later([this, &shard, other] {
        for (Side& side : sides_) side.network.cut(shard.name(), other, false);
      });
    case Fault::coordinator_outage:
      for (Side& side : sides_) side.coordinator.reach_all(false);
      return later([this] {
        for (Side& side : sides_) side.coordinator.reach_all(true);
      });
    case Fault::coordinator_cut:
      for (Side& side : sides_) side.coordinator.reach(shard.name(), false);
      return later([this, &shard] {
        for (Side& side : sides_) side.coordinator.reach(shard.name(), true);
      });
    case Fault::slow_disk:
      for (Side& side : sides_) side.shards.at(shard.name())->slow_disk(true);
      return later([this, &shard] {
        for (Side& side : sides_) side.shards.at(shard.name())->slow_disk(false);
      });
  }
}

}  // namespace canopy::simulation
