// How a shard comes to lead its partitions, and stops to.
#include <random>
#include <utility>

#include "core/base/log.h"
#include "shard/node.h"

namespace canopy::shard {
namespace {

namespace log = base::log;

std::uint64_t draw_lineage() {
  std::random_device random;
  std::uint64_t lineage = 0;
  while (lineage == 0) lineage = (std::uint64_t{random()} << 32) | random();
  return lineage;
}

// Above the epoch that the partition's store has seen; a memory partition asks for none.
std::uint32_t least_epoch(const Tenancy& tenancy) {
  return tenancy.recovered.epoch == 0 ? 0 : tenancy.recovered.epoch + 1;
}

}  // namespace

void Node::campaign(std::size_t index) {
  Served& served = served_[index];
  if (!served.tenancy.failure.empty()) {
    log::error(
        "shard", "partition not served",
        {{"partition", shown(served.tenancy.settings.subtree)}, {"why", served.tenancy.failure}});
    return;
  }
  coordinator_->campaign(served.tenancy.settings.subtree, least_epoch(served.tenancy),
                         [this, &served](std::optional<std::uint32_t> epoch) {
                           if (epoch) {
                             lead(served, *epoch);
                           } else {
                             suspend(served);
                           }
                         });
}

void Node::lead(Served& served, std::uint32_t epoch) {
  Tenancy& tenancy = served.tenancy;
  if (served.broken) return;
  if (served.partition && served.partition->revision().epoch() == epoch) return;
  served.epoch_to_store.reset();
  if (tenancy.store) {
    if (auto status = tenancy.store->begin_epoch(epoch); !status) {
      if (retry_later(served, epoch, status.error())) return;
      return fail(served, status.error());
    }
  }
  if (served.partition) served.suspended = std::exchange(served.partition, std::nullopt);
  if (served.suspended) {
    served.partition = std::exchange(served.suspended, std::nullopt);
    served.partition->begin_epoch(epoch, draw_lineage());
  } else {
    served.partition.emplace(Partition::Settings{.subtree = tenancy.settings.subtree,
                                                 .retain = tenancy.settings.retain,
                                                 .log_updates = tenancy.settings.log_updates,
                                                 .log_bytes = tenancy.settings.log_bytes,
                                                 .space = tenancy.space()},
                             epoch, draw_lineage(), std::move(tenancy.recovered.tree),
                             std::exchange(tenancy.recovered.requests, {}));
  }
  tenancy.failure.clear();
  served.metrics.leader.Set(1);
  log::info("shard", "serving",
            {{"partition", shown(tenancy.settings.subtree)},
             {"epoch", epoch},
             {"keys", served.partition->tree().size()}});
  publish(served, served.partition->heartbeat(loop_.now()));
  changed_ = true;
}

// Its lease ran out, as when the process was stopped for a while. Nothing is answered until the
// leadership is granted anew, which nobody else can have held: it goes on with what it has.
void Node::suspend(Served& served) {
  served.epoch_to_store.reset();
  if (!served.partition) return;
  served.suspended = std::exchange(served.partition, std::nullopt);
  stop_serving(served, "its leadership was lost");
}

void Node::fail(Served& served, const std::string& why) {
  served.broken = true;
  served.partition.reset();
  served.suspended.reset();
  stop_serving(served, why);
}

void Node::stop_serving(Served& served, const std::string& why) {
  served.tenancy.failure = why;
  served.metrics.leader.Set(0);
  log::error("shard", "partition no longer served",
             {{"partition", shown(served.tenancy.settings.subtree)}, {"why", why}});
  changed_ = true;
}

}  // namespace canopy::shard
