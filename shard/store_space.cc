// What a store does about space: blocks ahead of its file, and what a full disk looks like.
#include <fcntl.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "shard/lmdb.h"
#include "shard/store.h"

namespace canopy::shard {
namespace {

namespace fs = std::filesystem;

// With less free space than this a write that fails for no better reason counts as one that found
// no room.
constexpr std::uint64_t almost_full_bytes = std::uint64_t{1} << 20;
// In the file, beside the entries: pages that commits have replaced; and requests, the list of free
// pages and the reserve.
constexpr std::uint64_t max_copied_bytes = std::uint64_t{16} << 30;
constexpr std::uint64_t max_other_bytes = std::uint64_t{64} << 20;

}  // namespace

base::Error Store::failure(const std::string& doing, int code) {
  out_of_room_ = is_full(code);
  return {settings_.path + ": " + doing + ": " + mdb_strerror(code)};
}

// LMDB reports a write that was cut short, as on a disk that fills up, as EIO.
bool Store::is_full(int code) const {
  if (code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL) return true;
  return code == EIO && free_bytes() < gathered_bytes_ + almost_full_bytes;
}

std::uint64_t Store::free_bytes() const {
  int file = -1;
  struct statvfs disk {};
  mdb_env_get_fd(environment_, &file);
  if (fstatvfs(file, &disk) != 0) return 0;
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

// A commit may need as many pages again as the entries have, and so may the one before it; large
// partitions do not change as a whole at once.
std::uint64_t Store::map_bytes() const {
  return settings_.max_bytes + std::min(3 * settings_.max_bytes, max_copied_bytes) +
         max_other_bytes;
}

// Blocks beyond the end of the file, whose length stays. A file system that cannot do this is asked
// for its free space.
bool Store::extend(std::uint64_t file_bytes) {
  if (file_bytes > map_bytes()) return false;
  int file = -1;
  mdb_env_get_fd(environment_, &file);
  if (fallocate(file, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(file_bytes)) == 0) return true;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return false;
  std::error_code fault;
  const std::uint64_t length = fs::file_size(settings_.path + "/data.mdb", fault);
  return !fault && (file_bytes <= length || file_bytes - length <= free_bytes());
}

// Tells the capacity what is on disk by now.
void Store::measure() {
  Transaction transaction;
  MDB_stat entries{};
  MDB_envinfo info{};
  if (transaction.begin(environment_, MDB_RDONLY) != 0) return;
  if (mdb_stat(transaction.get(), entries_, &entries) != 0) return;
  mdb_env_info(environment_, &info);
  const std::uint64_t pages =
      entries.ms_branch_pages + entries.ms_leaf_pages + entries.ms_overflow_pages;
  capacity_.committed({.page_bytes = entries.ms_psize,
                       .state_bytes = pages * entries.ms_psize,
                       .leaf_pages = entries.ms_leaf_pages,
                       .file_bytes = (info.me_last_pgno + 1) * entries.ms_psize});
}

}  // namespace canopy::shard
