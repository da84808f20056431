// A layer between a process and its disk (LD_PRELOAD) that can undo unsynced writes, as a power cut
// does. After kill -9 the kernel still has these writes, so a missing fsync would not show.
// Thread-safe; one process at a time.
//
//   LOST_SYNC_ROOT     directory whose files are watched
//   LOST_SYNC_JOURNAL  directory on the same file system, for the journals that undo writes
//   LOST_SYNC_CUT      a number: undo now. An even number undoes all unsynced changes, an odd one
//                      a random part, with the number as seed
//
// The first change of a page after a sync saves the page in the file's journal; a sync empties the
// journal. Creations, renames and removals are saved in order until their directory is synced. The
// sync of a new file keeps its name, as ext4 and XFS do. The journals outlive the process, so a
// later process can undo the changes of an earlier one. Syncs do not reach the kernel, as only this
// layer loses data.
//
// The layer does not see writes through a shared mapping (RocksDB uses none), copy_file_range, and
// the writes of libc's FILEs.
#include <dirent.h>
#include <sys/uio.h>

#include <cstdarg>
#include <mutex>

#include "tests/faults/unsynced.h"

namespace {

using namespace canopy::faults;

// --- all files and names ------------------------------------------------------------------------

class Layer {
 public:
  Layer(const std::string& root, const std::string& journal)
      : root_(root + "/"), journal_(journal), names_(journal + "/names") {
    DIR* directory = ::opendir(journal.c_str());
    must(directory != nullptr, journal);
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name.starts_with("f-") && name.find('.') == std::string::npos) load(name);
    }
    ::closedir(directory);
  }

  void cut(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const bool everything = seed % 2 == 0;
    for (auto& [id, file] : files_) {
      file.cut(everything, random);
      file.forget();
    }
    files_.clear();
    names_.cut(everything ? names_.size() : random() % (names_.size() + 1));
  }

  bool watches(const std::string& path) const { return path.starts_with(root_); }
  Names& names() { return names_; }

  // The file of a descriptor; nullptr: the file is not watched.
  File* file(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
    const std::pair id(status.st_dev, status.st_ino);
    const auto found = files_.find(id);
    if (found != files_.end()) return &found->second;
    if (!watches(path_of(fd))) return nullptr;
    const auto name = "f-" + std::to_string(status.st_dev) + "-" + std::to_string(status.st_ino);
    const auto link = "/proc/self/fd/" + std::to_string(fd);
    const auto kept = journal_ + "/" + name + ".file";
    if (::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, kept.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      must(errno == ENOENT, kept);  // it was unlinked
      return nullptr;
    }
    File::begin(journal_ + "/" + name, static_cast<std::uint64_t>(status.st_size));
    return &files_.emplace(id, File(journal_ + "/" + name)).first->second;
  }
  void sync(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return;
    const std::string path = path_of(fd);
    if (S_ISDIR(status.st_mode) && watches(path + "/")) {
      names_.directory_synced(path);
      for (auto at = files_.begin(); at != files_.end();) {
        const bool gone = at->second.is_gone();
        if (gone) at->second.forget();
        at = gone ? files_.erase(at) : std::next(at);
      }
    } else if (File* changed = file(fd)) {
      changed->synced();
      names_.file_synced(path);
    }
  }

 private:
  void load(const std::string& name) {
    struct stat status {};
    File file(journal_ + "/" + name);
    if (::stat((journal_ + "/" + name + ".file").c_str(), &status) != 0) return;
    files_.emplace(std::pair(status.st_dev, status.st_ino), std::move(file));
  }

  std::string root_, journal_;
  std::map<std::pair<dev_t, ino_t>, File> files_;
  Names names_;
};

std::mutex mutex;
Layer* layer = nullptr;

[[gnu::constructor]] void start() {
  const char* root = std::getenv("LOST_SYNC_ROOT");
  const char* journal = std::getenv("LOST_SYNC_JOURNAL");
  const char* seed = std::getenv("LOST_SYNC_CUT");
  if (!root || !journal) return;
  for (std::size_t at = 1; at != std::string::npos;) {
    at = std::string(journal).find('/', at + 1);
    ::mkdir(std::string(journal).substr(0, at).c_str(), 0755);
  }
  layer = new Layer(root, journal);
  if (seed) layer->cut(std::strtoull(seed, nullptr, 10));
}

// --- replacements of libc's functions -----------------------------------------------------------

template <class Write>
ssize_t change(int fd, off_t offset, std::size_t length, Write write) {
  if (!layer) return write();
  const std::lock_guard lock(mutex);
  File* file = layer->file(fd);
  if (!file) return write();
  const int flags = ::fcntl(fd, F_GETFL);
  auto at = static_cast<std::uint64_t>(offset < 0 ? ::lseek(fd, 0, SEEK_CUR) : offset);
  if (flags & O_APPEND) at = file->size_now();
  file->before_write(at, length);
  const ssize_t written = write();
  if (written > 0 && (flags & O_DSYNC)) {
    file->after_synced_write(at, static_cast<std::size_t>(written));
  }
  return written;
}

std::size_t total(const iovec* parts, int count) {
  std::size_t sum = 0;
  for (int i = 0; i < count; ++i) sum += parts[i].iov_len;
  return sum;
}

int open_watched(int directory, const char* path, int flags, mode_t mode) {
  const auto open = [&] {
    return static_cast<int>(call(SYS_openat, directory, path, flags, mode));
  };
  if (!layer || !(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE) return open();
  const std::string whole = absolute(directory, path);
  if (!layer->watches(whole)) return open();
  const std::lock_guard lock(mutex);
  if (!exists(whole)) {
    if (flags & O_CREAT) layer->names().add('c', whole);
  } else if (flags & O_TRUNC) {
    const int before = open_file(whole, O_RDONLY);
    if (File* file = before < 0 ? nullptr : layer->file(before)) {
      file->before_write(0, file->size_now());
    }
    if (before >= 0) ::close(before);
  }
  return open();
}

int rename_watched(int from_directory, const char* from, int to_directory, const char* to) {
  const std::string target = absolute(to_directory, to);
  const std::unique_lock lock(mutex);
  if (layer && layer->watches(target)) {
    layer->names().add('r', target, absolute(from_directory, from));
  }
  return static_cast<int>(call(SYS_renameat, from_directory, from, to_directory, to));
}

int unlink_watched(int directory, const char* path, int flags) {
  const std::string whole = absolute(directory, path);
  const std::unique_lock lock(mutex);
  if (layer && layer->watches(whole) && !(flags & AT_REMOVEDIR) && exists(whole)) {
    layer->names().add('u', whole);
  }
  return static_cast<int>(call(SYS_unlinkat, directory, path, flags));
}

int sync_watched(int fd) {
  const std::lock_guard lock(mutex);
  if (!layer) return static_cast<int>(call(SYS_fsync, fd));
  layer->sync(fd);
  return 0;
}

int truncate_watched(int fd, off_t size) {
  const auto cut_off = [&] { return call(SYS_ftruncate, fd, size); };
  struct stat status {};
  if (!layer || ::fstat(fd, &status) != 0 || status.st_size <= size) {
    return static_cast<int>(cut_off());
  }
  const auto gone = static_cast<std::size_t>(status.st_size - size);
  return static_cast<int>(change(fd, size, gone, cut_off));
}

}  // namespace

extern "C" {

#pragma GCC visibility push(default)

ssize_t write(int fd, const void* data, std::size_t size) {
  return change(fd, -1, size, [&] { return call(SYS_write, fd, data, size); });
}
ssize_t pwrite(int fd, const void* data, std::size_t size, off_t at) {
  return change(fd, at, size, [&] { return call(SYS_pwrite64, fd, data, size, at); });
}
ssize_t pwrite64(int fd, const void* data, std::size_t size, off_t at) {
  return pwrite(fd, data, size, at);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  return change(fd, -1, total(parts, count), [&] { return call(SYS_writev, fd, parts, count); });
}
ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  return change(fd, at, total(parts, count),
                [&] { return call(SYS_pwritev, fd, parts, count, at, 0); });
}
ssize_t pwritev64(int fd, const iovec* parts, int count, off_t at) {
  return pwritev(fd, parts, count, at);
}
int ftruncate(int fd, off_t size) noexcept { return truncate_watched(fd, size); }
int ftruncate64(int fd, off_t size) noexcept { return truncate_watched(fd, size); }

int fsync(int fd) { return sync_watched(fd); }
int fdatasync(int fd) { return sync_watched(fd); }

int openat(int directory, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : mode_t{0};
  va_end(rest);
  return open_watched(directory, path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : mode_t{0};
  va_end(rest);
  return open_watched(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
int openat64(int directory, const char* path, int flags, ...) __attribute__((alias("openat")));
int creat(const char* path, mode_t mode) {
  return open_watched(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int rename(const char* from, const char* to) noexcept {
  return rename_watched(AT_FDCWD, from, AT_FDCWD, to);
}
int renameat(int from_directory, const char* from, int to_directory, const char* to) noexcept {
  return rename_watched(from_directory, from, to_directory, to);
}
int unlink(const char* path) noexcept { return unlink_watched(AT_FDCWD, path, 0); }
int unlinkat(int directory, const char* path, int flags) noexcept {
  return unlink_watched(directory, path, flags);
}

#pragma GCC visibility pop
}
