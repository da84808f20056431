#include "shard/space_reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

namespace canopy::shard {
namespace {

constexpr std::uint64_t part_of_disk = 8;

std::uint64_t blocks_of(int file) {
  struct stat status {};
  return fstat(file, &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

}  // namespace

SpaceReserve::SpaceReserve(std::string path, std::uint64_t bytes)
    : path_(std::move(path)),
      file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)),
      bytes_(bytes) {
  struct statvfs disk {};
  if (fstatvfs(file_.get(), &disk) == 0) {
    bytes_ = std::min<std::uint64_t>(bytes_, disk.f_blocks * disk.f_frsize / part_of_disk);
  }
}

std::uint64_t SpaceReserve::min_free() const { return std::min(min_free_bytes, bytes_ / 2); }

bool SpaceReserve::allocate() {
  const auto size = static_cast<off_t>(bytes_);
  if (fallocate(file_.get(), 0, 0, size) == 0) return true;
  if (errno == EOPNOTSUPP || errno == ENOSYS) return true;
  give_up();  // a partial reserve has no use
  return false;
}

void SpaceReserve::check() {
  struct statvfs disk {};
  if (fstatvfs(file_.get(), &disk) != 0) return;
  const std::uint64_t available = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  const std::uint64_t held = blocks_of(file_.get());
  const std::uint64_t missing = bytes_ > held ? bytes_ - held : 0;
  low_ = available < missing + min_free() || (missing > 0 && !allocate());
}

bool SpaceReserve::whole() const { return blocks_of(file_.get()) >= bytes_; }

bool SpaceReserve::give_up() {
  low_ = true;
  return blocks_of(file_.get()) > 0 && ftruncate(file_.get(), 0) == 0;
}

}  // namespace canopy::shard
