#include "shard/holdings.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "core/base/log.h"

namespace canopy::shard {
namespace {

// An ending process may still hold the directory.
constexpr auto lock_timeout = std::chrono::seconds(5);

}  // namespace

base::Result<Holdings> open_holdings(const config::Cluster& cluster, const std::string& shard,
                                     const std::string& directory) {
  Holdings holdings{.store = directory + "/store"};
  std::error_code fault;
  holdings.directory = std::filesystem::absolute(directory, fault);
  auto lock = base::DirectoryLock::acquire(directory, lock_timeout);
  if (!lock) {
    holdings.trouble = lock.error();
    holdings.identity = base::random_identity();
    base::log::warn("shard", "restart after a crash waits for the lease", {{"why", lock.error()}});
    return holdings;
  }
  if (*lock == nullptr) {
    return base::Error{directory +
                       ": held by another running shard; give each shard a state_dir of its own"};
  }
  holdings.lock = std::move(*lock);
  holdings.identity = holdings.lock->identity();
  const bool present = std::filesystem::exists(holdings.store);
  const auto on_disk = [&](const config::Partition& partition) {
    return partition.durability == config::Durability::disk &&
           (present || std::ranges::count(partition.on, shard) > 0);
  };
  if (!std::ranges::any_of(cluster.partitions, on_disk)) return holdings;
  auto storage = Storage::open(holdings.store);
  if (storage) {
    holdings.storage = std::move(*storage);
  } else {
    holdings.trouble = storage.error();
  }
  return holdings;
}

base::Status restore_store(const std::string& directory, const std::string& backup) {
  auto lock = base::DirectoryLock::acquire(directory, {});
  if (!lock) return base::Error{lock.error()};
  if (*lock == nullptr) {
    return base::Error{directory + ": held by a running shard; stop it first"};
  }
  return Storage::restore(backup, directory + "/store");
}

}  // namespace canopy::shard
