// What a shard does when a partition has no room: see shard/capacity.h.
#include "core/base/log.h"
#include "shard/node.h"

namespace canopy::shard {
namespace {

namespace log = base::log;
using wire::Fault;

// In one turn, of a partition that is nearly full: each makes room for the request that follows.
constexpr int max_extra_commits = 64;

}  // namespace

Partition::Staged Node::stage(Served& served, ProxyId proxy, wire::RoutedRequest routed) {
  // A request that is to come later is left as it was.
  const auto attempt = [&] { return served.partition->stage(proxy, std::move(routed), turn_); };
  auto staged = attempt();
  if (!staged.later) return staged;
  if (commit_now(served)) staged = attempt();
  if (!staged.later) return staged;
  const Fault fault = served.partition ? Fault::busy : Fault::partition_unavailable;
  replies_.add(Reply::to(proxy, routed, {fault}));
  return {.fault = fault};
}

// Everything staged is on disk after this; false when that is too much for one turn, or failed.
bool Node::commit_now(Served& served) {
  if (++served.extra_commits > max_extra_commits) return false;
  commit(served);
  if (served.partition) check(served, served.tenancy.store->sync());
  return served.partition.has_value();
}

// False when that failed: for lack of room, then the partition goes on without what was staged, or
// for good.
bool Node::store(Served& served, base::TimePoint now) {
  Partition& partition = *served.partition;
  Store& store = *served.tenancy.store;
  server_.send_queued();  // what is queued travels while the disk works
  const auto status = store.write(partition.staged(), partition.staged_requests(), now);
  if (status) return true;
  if (!store.out_of_room()) {
    fail(served, status.error());
    return false;
  }
  metrics_.reject(std::string(wire::name(Fault::full)),
                  static_cast<double>(partition.staged().size()));
  full_log_.warn("shard", "no room for writes", {{"why", status.error()}});
  for (Reply& reply : partition.withdraw()) replies_.add(std::move(reply));
  return false;
}

// Of a sync: what is gathered stays gathered while there is no room for it.
void Node::check(Served& served, const base::Status& status) {
  if (status) return;
  if (!served.tenancy.store->out_of_room()) return fail(served, status.error());
  full_log_.warn("shard", "no room for what was written", {{"why", status.error()}});
}

// The leadership is kept; each tick tries to store the epoch.
bool Node::retry_later(Served& served, std::uint32_t epoch, const std::string& why) {
  if (!served.tenancy.store->out_of_room()) return false;
  served.epoch_to_store = epoch;
  if (served.tenancy.failure != why) stop_serving(served, why);
  return true;
}

// Whether the partition has room, and whether its epoch can be stored by now.
void Node::report_space(Served& served) {
  if (served.epoch_to_store) return lead(served, *served.epoch_to_store);
  Tenancy& tenancy = served.tenancy;
  std::string full;
  if (served.partition && tenancy.space() != nullptr) {
    tenancy.store->capacity().probe();
    full = tenancy.store->capacity().full();
  }
  served.metrics.full.Set(full.empty() ? 0 : 1);
  if (full == served.full) return;
  if (full.empty()) {
    log::info("shard", "partition has room again",
              {{"partition", shown(tenancy.settings.subtree)}});
  } else {
    log::warn("shard", "partition full: only what does not make it larger is taken",
              {{"partition", shown(tenancy.settings.subtree)}, {"why", full}});
  }
  served.full = full;
  announce();
}

}  // namespace canopy::shard
