// Storage: makes backups while the database is written to, and restores them.
#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/utilities/checkpoint.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/net/descriptor.h"
#include "shard/storage.h"

namespace canopy::shard {
namespace {

namespace fs = std::filesystem;

base::Status sync_path(const fs::path& path, int flags) {
  const net::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (file && ::fsync(file.get()) == 0) return {};
  return base::Error{path.string() + ": cannot be synced: " + std::strerror(errno)};
}

// Refuses a store that was opened: a copy would keep its identity and count as in sync.
base::Status check_backup(const std::string& backup) {
  std::error_code fault;
  if (!fs::is_directory(backup, fault)) return base::Error{backup + ": is no directory"};
  if (!fs::exists(backup + "/CURRENT", fault)) {
    return base::Error{backup + ": is not a backup of a store: CURRENT is missing"};
  }
  if (!fs::exists(backup + "/IDENTITY", fault)) return {};
  return base::Error{backup + ": is a store that a shard has opened, not a backup"};
}

base::Status copy_files(const std::string& from, const std::string& to) {
  std::error_code fault;
  fs::create_directory(to, fault);
  if (fault) return base::Error{to + ": cannot be made: " + fault.message()};
  for (fs::directory_iterator file(from, fault), end; !fault && file != end;
       file.increment(fault)) {
    const fs::path copy = fs::path(to) / file->path().filename();
    std::error_code failed;
    fs::copy_file(file->path(), copy, failed);
    if (failed) return base::Error{copy.string() + ": cannot be written: " + failed.message()};
    if (auto status = sync_path(copy, 0); !status) return status;
  }
  if (fault) return base::Error{from + ": " + fault.message()};
  return sync_path(to, O_DIRECTORY);
}

}  // namespace

// A rename or a new file is durable once its directory is synced.
base::Status Storage::sync_parent(const std::string& path) {
  return sync_path(fs::path(path).parent_path(), O_DIRECTORY);
}

base::Status Storage::backup(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  if (database_ == nullptr) return base::Error{path_ + ": is not open"};
  std::error_code fault;
  if (fs::exists(path, fault)) return base::Error{path + ": exists already"};
  const fs::path parent = fs::path(path).parent_path();
  fs::create_directories(parent, fault);
  if (fault) return base::Error{parent.string() + ": cannot be made: " + fault.message()};
  rocksdb::Checkpoint* made = nullptr;
  auto status = rocksdb::Checkpoint::Create(database_.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) status = checkpoint->CreateCheckpoint(path);
  if (status.IsNoSpace()) return base::Error{path + ": the disk has no room for it"};
  if (!status.ok()) return base::Error{path + ": " + status.ToString()};
  if (auto synced = sync_parent(path); !synced) return synced;
  return sync_parent(parent);
}

// Checks every block of every table.
base::Status Storage::verify() {
  const auto status = database_->VerifyChecksum();
  return status.ok() ? base::Status() : failure(status);
}

base::Status Storage::restore(const std::string& backup, const std::string& path) {
  if (auto status = check_backup(backup); !status) return status;
  std::error_code fault;
  const bool present = fs::exists(path, fault);
  if (!fault && present && !fs::is_empty(path, fault)) {
    return base::Error{path + ": exists already; move it away first"};
  }
  const std::string fresh = path + ".new";
  if (!fault) fs::remove_all(fresh, fault);
  if (fault) return base::Error{path + ": " + fault.message()};
  auto status = copy_files(backup, fresh);
  if (status) {
    auto storage = open(fresh);
    status = storage ? (*storage)->verify() : base::Error{storage.error()};
  }
  fs::remove(fresh + ".reserve", fault);
  if (status) {
    fs::rename(fresh, path, fault);  // may replace an empty directory
    if (!fault) return sync_parent(path);
    status = base::Error{path + ": cannot be made: " + fault.message()};
  }
  fs::remove_all(fresh, fault);
  return status;
}

}  // namespace canopy::shard
