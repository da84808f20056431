// Upstream: makes the mirrors, and passes them the messages of the shards.
#include <algorithm>

#include "core/keyspace/key.h"
#include "proxy/upstream.h"

namespace canopy::proxy {
namespace {

namespace log = base::log;
using cluster::Mirror;
using keyspace::shown;

}  // namespace

MirrorLease Upstream::lease(std::string_view prefix) {
  std::vector<std::size_t> needed = map_.covering(prefix);
  for (const std::size_t index : needed) {
    if (!partitions_[index].mirror) begin_mirror(index, {.subtree = map_.subtree(index)});
  }
  return leases_.hold(prefix, std::move(needed));
}

void Upstream::begin_mirror(std::size_t index, Mirror::SplitOff part) {
  Partition& partition = partitions_[index];
  partition.mirror.emplace(std::move(part),
                           cluster::MirrorSettings{.retain = partition.retain,
                                                   .first_request = partition.mirrors++ << 32});
  // Its leader may still send keys that were split off.
  for (std::size_t other = 0; other < partitions_.size(); ++other) {
    const std::string& subtree = map_.subtree(other);
    if (!partitions_[other].configured && keyspace::is_below(subtree, map_.subtree(index))) {
      partition.mirror->split_off(subtree);
    }
  }
  Link& link = *links_[partition.link];
  log::info("upstream", "mirroring", {{"partition", shown(map_.subtree(index))}});
  link.updates.subscribe(wire::batch_topic(map_.subtree(index)));
  start_mirror(partition);
}

void Upstream::start_mirror(Partition& partition) {
  Mirror::Effects effects;
  partition.mirror->start(loop_.now(), effects);
  carry_out(*links_[partition.link], effects, loop_.now());
}

const cluster::Mirror* Upstream::mirror(std::size_t partition) const {
  const auto& mirror = partitions_[partition].mirror;
  return mirror ? &*mirror : nullptr;
}

std::uint32_t Upstream::highest_epoch() const {
  std::uint32_t highest = 0;
  for (const Partition& partition : partitions_) {
    if (partition.mirror) highest = std::max(highest, partition.mirror->revision().epoch());
  }
  return highest;
}

std::map<std::string, std::uint64_t> Upstream::revisions() const {
  std::map<std::string, std::uint64_t> result;
  for (const Partition& partition : partitions_) {
    if (!partition.mirror) continue;
    const Mirror& mirror = *partition.mirror;
    result[shown(mirror.partition())] = mirror.revision().value();
  }
  return result;
}

bool Upstream::ready(std::string_view prefix) const {
  return std::ranges::all_of(map_.covering(prefix), [this](std::size_t index) {
    const auto& mirror = partitions_[index].mirror;
    return mirror && mirror->ready();
  });
}

void Upstream::on_update(Link& link, std::string_view message) {
  auto batch = wire::decode_batch(message);
  if (!batch) {
    metrics_.reject("malformed");
    log_.warn("upstream", "batch refused", {{"shard", link.name}, {"why", batch.error()}});
    return;
  }
  link.heard = loop_.now();
  Mirror* mirror = find_mirror(batch->partition);
  if (mirror == nullptr) return;  // just dropped
  const base::TimePoint committed = batch->committed;
  Mirror::Effects effects;
  mirror->on_batch(std::move(*batch), link.heard, effects);
  carry_out(link, effects, committed);
}

void Upstream::on_answer(Link& link, std::string_view message) {
  const auto answer = wire::decode_from_shard(message);
  if (!answer) {
    metrics_.reject("malformed");
    log_.warn("upstream", "answer refused", {{"shard", link.name}, {"why", answer.error()}});
    return;
  }
  link.heard = loop_.now();
  std::visit([&](const auto& body) { on_answer(link, body); }, *answer);
}

cluster::Mirror* Upstream::find_mirror(const std::string& subtree) {
  const std::size_t index = map_.find(subtree);
  if (index == map_.size()) return nullptr;
  auto& mirror = partitions_[index].mirror;
  return mirror ? &*mirror : nullptr;
}

void Upstream::on_answer(Link& link, const wire::Refused& refused) {
  Mirror* mirror = find_mirror(refused.partition);
  if (mirror == nullptr) return;
  mirror->on_refused(refused);
  log_.warn("upstream", "sync refused",
            {{"shard", link.name}, {"partition", shown(refused.partition)}, {"why", refused.why}});
}

void Upstream::on_answer(Link& link, const wire::Chunk& chunk) {
  Mirror* mirror = find_mirror(chunk.partition);
  if (mirror == nullptr) return;
  Mirror::Effects effects;
  mirror->on_chunk(chunk, link.heard, effects);
  link.received_repair.Increment(static_cast<double>(effects.applied.size()));
  carry_out(link, effects, link.heard);
  if (!effects.new_history) return;
  log::warn("upstream", "the partition has a new history: its epoch is not above the last one",
            {{"partition", shown(chunk.partition)}, {"epoch", chunk.revision.epoch()}});
  renewed_(map_.owner(chunk.partition));
}

void Upstream::on_answer(Link&, const wire::Answers& answers) {
  for (const wire::Answer& answer : answers.answers) answered_(answer);
}

void Upstream::carry_out(Link& link, Mirror::Effects& effects, base::TimePoint committed) {
  link.received_live.Increment(static_cast<double>(effects.received));
  link.dropped.Increment(static_cast<double>(effects.missed));
  link.gaps.Increment(static_cast<double>(effects.holes));
  link.replays.Increment(static_cast<double>(effects.replays));
  link.snapshots.Increment(static_cast<double>(effects.snapshots));
  if (effects.missed > 0) {
    log_.warn("upstream", "updates missed, repairing",
              {{"shard", link.name}, {"missed", effects.missed}});
  }
  for (std::string& request : effects.requests) {
    if (link.unsent.size() < max_unsent) link.unsent.push_back(std::move(request));
  }
  send_requests(link);
  if (!effects.applied.empty()) applied_(effects.applied, link.index, committed);
  for (Mirror::SplitOff& part : effects.split_off) {
    const std::size_t whole = map_.owner(part.subtree);
    divide(whole, std::move(part));
  }
}

// A shard announced a split, perhaps before the mirror gets its entry.
void Upstream::divide(const std::string& subtree) {
  const std::size_t whole = map_.owner(subtree);
  if (whole == map_.size() || !keyspace::is_subtree(subtree)) return;
  auto& mirror = partitions_[whole].mirror;
  if (mirror) return divide(whole, mirror->split_off(subtree));
  add_partition(whole, subtree);
}

// The leader of the whole partition leads the new one until the directory names another.
std::size_t Upstream::add_partition(std::size_t whole, const std::string& subtree) {
  if (map_.size() >= base::max_partitions) return map_.size();
  log::info("upstream", "partition split",
            {{"partition", shown(map_.subtree(whole))}, {"split_off", shown(subtree)}});
  const Partition& parent = partitions_[whole];
  partitions_.push_back({.link = parent.link, .retain = parent.retain, .configured = false});
  const std::size_t index = map_.add(subtree);
  leases_.add(index, subtree);
  return index;
}

// A partition that the directory announced before already has its own mirror.
void Upstream::divide(std::size_t whole, Mirror::SplitOff part) {
  if (whole == map_.size() || map_.subtree(whole) == part.subtree) return;
  const std::size_t index = add_partition(whole, part.subtree);
  if (index == map_.size()) return;
  const keyspace::Revision known = part.revision;
  const bool ready = part.ready;
  begin_mirror(index, std::move(part));
  divided_(whole, index, ready ? known : keyspace::Revision());
}

void Upstream::drop_mirror(Partition& partition) {
  const std::string subtree = partition.mirror->partition();
  log::info("upstream", "no longer mirroring", {{"partition", shown(subtree)}});
  links_[partition.link]->updates.unsubscribe(wire::batch_topic(subtree));
  partition.mirror.reset();
  for (auto* gauges :
       {&metrics_.keys, &metrics_.state_bytes, &metrics_.held_updates, &metrics_.held_bytes}) {
    gauges->Add({{"partition", shown(subtree)}}).Set(0);
  }
}

}  // namespace canopy::proxy
