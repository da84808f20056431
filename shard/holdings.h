// Opens the directory of a shard and the store of its disk partitions, before any thread starts.
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
  // Distinguishes a restart of this shard from another shard of the same name.
  std::string identity{};
  std::unique_ptr<Storage> storage{};  // null: no disk partition yet, or the store cannot be opened
  std::string trouble{};               // why the store cannot be opened
  std::string store{};                 // the path of the store
};

// Opens the store in `directory` if the file places a disk partition on this shard, or if the
// cluster has disk partitions and a store exists from earlier. An error when another shard holds
// the directory. Where the directory cannot be written, or the store cannot be read, the shard
// still serves its memory partitions.
base::Result<Holdings> open_holdings(const config::Cluster& cluster, const std::string& shard,
                                     const std::string& directory);

// Restores a backup as the store in `directory`, where no shard runs; see Storage::restore().
base::Status restore_store(const std::string& directory, const std::string& backup);

}  // namespace canopy::shard
