#include "shard/tenancy.h"

#include <utility>

#include "core/base/log.h"

namespace canopy::shard {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 5s;  // for a predecessor that is just going away

}  // namespace

base::Result<Tenancies> open_tenancies(const std::vector<const config::Partition*>& partitions,
                                       const std::string& directory) {
  Tenancies result;
  auto lock = base::DirectoryLock::take(directory, patience);
  if (lock && *lock == nullptr) {
    return base::Error{directory +
                       ": held by another running shard; give each shard a state_dir of its own"};
  }
  if (lock) {
    result.lock = std::move(*lock);
    result.identity = result.lock->identity();
  } else {
    result.identity = base::random_identity();
    base::log::warn("shard", "restart after a crash waits for the lease", {{"why", lock.error()}});
  }
  for (const config::Partition* each : partitions) {
    const config::Partition& settings = *each;
    Tenancy& tenancy = result.all.emplace_back(Tenancy{.settings = settings});
    if (settings.durability != config::Durability::disk) continue;
    if (!lock) {
      tenancy.failure = lock.error();
      continue;
    }
    auto store = Store::open(
        {.path = directory + "/" + Store::directory_name(settings.subtree),
         .max_bytes = settings.max_state_bytes,
         .sync_interval = settings.sync == config::Sync::interval ? settings.sync_interval : 0ms},
        tenancy.recovered);
    if (store) {
      tenancy.store = std::move(*store);
    } else {
      tenancy.failure = store.error();
    }
  }
  return result;
}

}  // namespace canopy::shard
