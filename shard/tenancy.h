// What is open of a shard's partitions before it serves them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/directory_lock.h"
#include "core/config/cluster.h"
#include "core/keyspace/key.h"
#include "shard/store.h"

namespace canopy::shard {

// A partition of the configuration and what is open of it.
struct Tenancy {
  config::Partition settings{};
  std::unique_ptr<Store> store{};  // disk partitions
  Store::Recovered recovered{};
  std::string failure{};  // why it is not served; empty otherwise

  // What the store has room for; null: what the partition holds is not bounded by a store.
  Space* space() const { return store && settings.retain ? &store->capacity() : nullptr; }
};

using keyspace::shown;

// The partitions of a shard, and the hold on its directory.
struct Tenancies {
  std::unique_ptr<base::DirectoryLock> lock{};  // null: the directory cannot be written
  // By which the broker knows a restart of this shard from another shard of its name.
  std::string identity{};
  std::vector<Tenancy> all{};
};

// Opens the stores of the disk partitions in `directory`; before threads start. A store that fails
// is reported in its tenancy, the others are served. An error when another shard holds the
// directory. Where it cannot be written memory partitions are served all the same.
base::Result<Tenancies> open_tenancies(const std::vector<const config::Partition*>& partitions,
                                       const std::string& directory);

}  // namespace canopy::shard
