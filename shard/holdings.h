// What a shard holds before it serves: its directory, and the store of its partitions on disk.
#pragma once

#include <memory>
#include <string>

#include "core/base/directory_lock.h"
#include "core/config/cluster.h"
#include "shard/storage.h"

namespace canopy::shard {

struct Holdings {
  std::string directory{};                      // absolute
  std::unique_ptr<base::DirectoryLock> lock{};  // null: the directory cannot be written
  // By which the coordinator knows a restart of this shard from another shard of its name.
  std::string identity{};
  std::unique_ptr<Storage> storage{};  // null: nothing is kept on disk yet, or it cannot be
  std::string trouble{};               // why it cannot
  std::string store{};                 // where to open it
};

// Opens the store in `directory` if a partition of the shard is kept on disk, or may be: one of the
// cluster is, and the store is there from earlier. Before threads start.
// An error when another shard holds the directory. Where it cannot be written, or its store cannot
// be read, memory partitions are served all the same.
base::Result<Holdings> open_holdings(const config::Cluster& cluster, const std::string& shard,
                                     const std::string& directory);

// Makes a backup the store in `directory`, while no shard runs there; see Storage::restore().
base::Status restore_store(const std::string& directory, const std::string& backup);

}  // namespace canopy::shard
