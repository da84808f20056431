#include "tests/simulation/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/limits.h"

namespace canopy::simulation {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Rule {
  Broken rule;
  std::string_view name, invariant;
};
constexpr std::array rules = {
    Rule{Broken::nothing, "nothing", ""},
    Rule{Broken::commit_alone, "commit_alone", "Durable"},
    Rule{Broken::elect_outsider, "elect_outsider", "Durable"},
    Rule{Broken::reuse_epoch, "reuse_epoch", "OneLeader"},
    Rule{Broken::forget_requests, "forget_requests", "AppliedOnce"},
    Rule{Broken::shrink_early, "shrink_early", "Durable"},
};

void draw_cluster(Random& random, Scenario& out) {
  const int shards = random.between(2, 5);
  for (int i = 0; i < shards; ++i) out.shards.emplace_back(1, static_cast<char>('a' + i));

  out.disk = random.chance(60);
  cluster::Replica::Settings& settings = out.settings;
  settings.partition = whole_subtree;
  settings.placement = out.shards;
  random.shuffle(settings.placement);
  // A partition in memory on a single shard promises nothing.
  const int least = out.disk && random.chance(5) ? 1 : 2;
  settings.placement.resize(std::min<std::size_t>(
      settings.placement.size(), static_cast<std::size_t>(least == 1 ? 1 : random.between(2, 3))));
  settings.min_in_sync = settings.placement.size() > 1 && random.chance(40) ? 2 : 1;
  settings.retain = !random.chance(10);
  settings.log.updates =
      random.chance(50) ? static_cast<std::size_t>(random.between(1, 12)) : 10'000;
  settings.lag = random.between(milliseconds(200), milliseconds(800));
  settings.prefer_after = random.between(milliseconds(300), milliseconds(3000));
  settings.election_step = random.between(milliseconds(0), milliseconds(200));
  settings.retry = random.between(milliseconds(100), milliseconds(500));
}

void draw_manners(Random& random, Scenario& out) {
  out.tick = random.between(milliseconds(40), milliseconds(150));
  out.lease = random.between(milliseconds(400), milliseconds(1200));
  out.max_delay = random.between(milliseconds(1), milliseconds(random.chance(20) ? 150 : 15));
  out.max_directory_delay =
      random.between(milliseconds(1), milliseconds(random.chance(20) ? 150 : 15));
  // Leases outlast what their renewal takes, also by the fastest clock.
  out.lease = std::max(out.lease, 10 * out.max_directory_delay);
  out.max_disk_delay = random.between(milliseconds(1), milliseconds(random.chance(20) ? 100 : 10));
  if (random.chance(20)) {
    out.lost = random.between(0, 10);
    out.repeated = random.between(0, 10);
    out.swapped = random.between(0, 10);
  }
  out.slots = random.between(1, 8);
  out.honest_clocks = !random.chance(25);
  out.encoded = random.chance(5);
}

}  // namespace

std::optional<Broken> broken_rule(std::string_view name) {
  for (const Rule& rule : rules) {
    if (rule.name == name) return rule.rule;
  }
  return std::nullopt;
}

std::string_view broken_invariant(Broken rule) {
  return std::ranges::find(rules, rule, &Rule::rule)->invariant;
}

Scenario Scenario::draw(Random& random) {
  Scenario out;
  draw_cluster(random, out);
  draw_manners(random, out);
  out.clients = random.between(1, 4);
  out.keys = random.between(2, 6);
  // Some worlds have large values, so that requests and snapshots need several messages.
  if (random.chance(3)) out.padding = random.below(base::max_chunk_bytes);
  out.pause_between_requests = random.between(milliseconds(1), milliseconds(100));
  // Each seed has only some kinds of faults, so that rare combinations occur more often.
  for (int kind = 0; kind <= static_cast<int>(Fault::slow_disk); ++kind) {
    if (random.chance(45)) out.faults.push_back(static_cast<Fault>(kind));
  }
  out.between_faults = random.between(milliseconds(50), milliseconds(1500));
  out.trouble = random.between(seconds(2), seconds(8));
  out.moves = random.chance(25);
  if (out.moves) out.faults.push_back(Fault::move);
  out.splits = random.chance(30);
  if (out.splits) out.faults.push_back(Fault::split);
  return out;
}

std::string Scenario::show() const {
  std::string placed;
  for (const std::string& shard : settings.placement) placed += shard;
  std::string kinds;
  for (const Fault fault : faults) kinds += std::to_string(static_cast<int>(fault));
  return fmt::format(
      "{} shards, placed on {}, min_in_sync {}, {}{}, log {}, lag {} ms, lease {} ms, {} clocks, "
      "lost {} % repeated {} % swapped {} %, faults {} every {} ms for {} ms",
      shards.size(), placed, settings.min_in_sync, disk ? "disk" : "memory",
      settings.retain ? "" : ", not retained", settings.log.updates, base::in_ms(settings.lag),
      base::in_ms(lease), honest_clocks ? "honest" : "wild", lost, repeated, swapped,
      kinds.empty() ? "none" : kinds, base::in_ms(between_faults), base::in_ms(trouble));
}

}  // namespace canopy::simulation
