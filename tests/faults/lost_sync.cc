// A layer between a process and its disk (LD_PRELOAD) that can take back what was not synced, as a
// power cut does: after kill -9 the kernel still has it, so that a missing fsync would not show.
//
//   LOST_SYNC_ROOT     directory whose files are watched
//   LOST_SYNC_JOURNAL  directory on the same file system, for what is needed to take writes back
//   LOST_SYNC_CUT      a number: now is the cut. All that is not synced is lost when it is even,
//                      else a part of it, at random from that number
//
// Before a page is first changed after a sync of its file, its content goes to the file's journal;
// a sync empties that. Creations, renames and removals are kept in order until their directory is
// synced; syncing a new file keeps its name, as ext4 and XFS do. The journals outlive the process:
// what one leaves unsynced can still be lost under the next. Syncs are not passed on: nothing but a
// cut of this layer can lose what the kernel has.
//
// Not seen: writes through a shared mapping (LMDB without MDB_WRITEMAP and RocksDB have none),
// copy_file_range, and what libc writes for its FILEs. One process at a time.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr std::uint64_t page_bytes = 4096;
// A journal that has grown so far begins anew at the next sync.
constexpr off_t journal_bytes = off_t{1} << 20;

// --- system calls, past the functions below -----------------------------------------------------

template <class... Arguments>
long call(long number, Arguments... arguments) {
  return ::syscall(number, arguments...);
}
int open_file(const std::string& path, int flags, mode_t mode = 0644) {
  return static_cast<int>(call(SYS_openat, AT_FDCWD, path.c_str(), flags | O_CLOEXEC, mode));
}
void must(bool done, const std::string& what) {
  if (done) return;
  std::fprintf(stderr, "lost_sync: %s: %s\n", what.c_str(), std::strerror(errno));
  std::abort();
}
void write_all(int fd, const std::string& bytes) {
  must(call(SYS_write, fd, bytes.data(), bytes.size()) == std::ssize(bytes), "write a journal");
}
void remove_file(const std::string& path) { call(SYS_unlinkat, AT_FDCWD, path.c_str(), 0); }
bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string path_of(int fd) {
  char path[PATH_MAX];
  const auto link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
  return length < 0 ? "" : std::string(path, static_cast<std::size_t>(length));
}
std::string absolute(int directory, const char* path) {
  if (path[0] == '/') return path;
  char here[PATH_MAX];
  if (directory == AT_FDCWD) return std::string(::getcwd(here, sizeof here)) + "/" + path;
  return path_of(directory) + "/" + path;
}

// --- the content of one file --------------------------------------------------------------------

class File {
 public:
  struct Record {
    enum Kind : std::uint64_t { synced, page, kept } kind;
    std::uint64_t offset;  // synced: the size
    std::uint64_t length;  // page: bytes that follow
  };

  // `name`: its journal; beside it, NAME.file is the file itself, under whatever names it has.
  explicit File(std::string name) : name_(std::move(name)) {
    file_ = open_file(name_ + ".file", O_RDWR);
    must(file_ >= 0, name_ + ".file");
    load();
  }
  // Starts the journal of a file that is new to it.
  static void begin(const std::string& name, std::uint64_t size) {
    const int fd = open_file(name + ".new", O_WRONLY | O_CREAT | O_TRUNC);
    must(fd >= 0, name);
    write_all(fd, bytes_of({Record::synced, size, 0}));
    ::close(fd);
    must(call(SYS_rename, (name + ".new").c_str(), name.c_str()) == 0, name);
  }
  File(File&& other) noexcept
      : name_(std::move(other.name_)),
        file_(std::exchange(other.file_, -1)),
        journal_(std::exchange(other.journal_, -1)),
        size_(other.size_),
        pages_(std::move(other.pages_)) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
    if (journal_ >= 0) ::close(journal_);
  }

  bool is_gone() const { return status().st_nlink <= 1; }
  bool is(const struct stat& other) const {
    return status().st_ino == other.st_ino && status().st_dev == other.st_dev;
  }
  std::uint64_t size_now() const { return static_cast<std::uint64_t>(status().st_size); }

  void before_write(std::uint64_t offset, std::uint64_t length) {
    // Beyond the size that is synced there is nothing to be kept.
    const std::uint64_t end = std::min(offset + length, size_);
    for (std::uint64_t at = offset / page_bytes * page_bytes; at < end; at += page_bytes) {
      if (pages_.contains(at)) continue;
      std::string content(std::min(page_bytes, size_ - at), '\0');
      must(::pread(file_, content.data(), content.size(), static_cast<off_t>(at)) >= 0, name_);
      write_all(journal_, bytes_of({Record::page, at, content.size()}) + content);
      pages_[at] = {};  // needed at the cut alone, which reads the journal
    }
  }
  // Through a descriptor with O_DSYNC: this is synced, and nothing else.
  void after_synced_write(std::uint64_t offset, std::uint64_t length) {
    write_all(journal_, bytes_of({Record::kept, offset, length}));
    keep(offset, length);
  }
  void synced() {
    size_ = size_now();
    pages_.clear();
    if (::lseek(journal_, 0, SEEK_END) < journal_bytes) {
      return write_all(journal_, bytes_of({Record::synced, size_, 0}));
    }
    begin(name_, size_);
    ::close(journal_);
    journal_ = open_file(name_, O_RDWR | O_APPEND);
  }
  void forget() {
    remove_file(name_);
    remove_file(name_ + ".file");
  }

  void cut(bool everything, std::mt19937_64& random) {
    const std::uint64_t now = size_now();
    everything = everything || now < size_;  // what was cut off is on the disk, or all is as before
    for (const auto& [at, content] : pages_) {
      if (!everything && random() % 2 == 0) continue;
      must(call(SYS_pwrite64, file_, content.data(), content.size(), at) == std::ssize(content),
           name_);
    }
    const std::uint64_t grown = everything ? 0 : random() % (now - size_ + 1);
    must(call(SYS_ftruncate, file_, size_ + grown) == 0, name_);
  }

 private:
  static std::string bytes_of(const Record& record) {
    return {reinterpret_cast<const char*>(&record), sizeof record};
  }
  struct stat status() const {
    struct stat status {};
    ::fstat(file_, &status);
    return status;
  }
  void keep(std::uint64_t offset, std::uint64_t length) {
    const auto from = pages_.lower_bound(offset / page_bytes * page_bytes);
    pages_.erase(from, pages_.lower_bound(offset + length));
    size_ = std::max(size_, offset + length);
  }
  void load() {
    journal_ = open_file(name_, O_RDWR | O_APPEND);
    must(journal_ >= 0, name_);
    for (Record record{}; ::read(journal_, &record, sizeof record) == sizeof record;) {
      if (record.kind == Record::synced) {
        pages_.clear();
        size_ = record.offset;
      } else if (record.kind == Record::kept) {
        keep(record.offset, record.length);
      } else {
        std::string content(record.length, '\0');
        // Killed while it wrote this: the page itself has not been touched.
        if (::read(journal_, content.data(), content.size()) != std::ssize(content)) break;
        pages_.try_emplace(record.offset, std::move(content));
      }
    }
  }

  std::string name_;
  int file_ = -1;
  int journal_ = -1;
  std::uint64_t size_ = 0;                      // that is synced
  std::map<std::uint64_t, std::string> pages_;  // changed since; as they were
};

// --- names --------------------------------------------------------------------------------------

// Changes of directories that are not synced, in order.
class Names {
 public:
  struct Change {
    char kind;  // c: `path` is created, r: `from` is renamed to it, u: it is removed
    std::string path;
    std::string from;
    std::string saved;  // what `path` was before; empty: nothing
  };

  explicit Names(std::string journal) : journal_(std::move(journal)) { load(); }

  void add(char kind, const std::string& path, const std::string& from = {}) {
    Change change{kind, path, from, {}};
    if (kind != 'c' && exists(path)) {
      change.saved = journal_ + "." + std::to_string(::getpid()) + "." + std::to_string(++counter_);
      must(::link(path.c_str(), change.saved.c_str()) == 0, path);
    }
    changes_.push_back(std::move(change));
    save();
  }
  void directory_synced(const std::string& directory) {
    drop([&](const Change& each) { return directory_of(each.path) == directory; });
  }
  void file_synced(const std::string& path) {
    drop([&](const Change& each) { return each.kind == 'c' && each.path == path; });
  }
  std::size_t size() const { return changes_.size(); }

  // Takes the last `count` back; the others are there for good.
  void cut(std::size_t count) {
    for (; count > 0; --count) {
      const Change& last = changes_.back();
      if (last.kind == 'c') remove_file(last.path);
      if (last.kind == 'r' && !exists(last.from)) {
        call(SYS_rename, last.path.c_str(), last.from.c_str());
      }
      if (!last.saved.empty()) call(SYS_rename, last.saved.c_str(), last.path.c_str());
      remove_file(last.saved);  // two names of one file are left by that
      changes_.pop_back();
    }
    drop([](const Change&) { return true; });
  }

 private:
  template <class Which>
  void drop(Which which) {
    const auto synced = [&](const Change& each) {
      if (!which(each)) return false;
      if (!each.saved.empty()) remove_file(each.saved);
      return true;
    };
    if (std::erase_if(changes_, synced) > 0) save();
  }
  void save() const {
    std::string text;
    for (const Change& each : changes_) {
      text += std::string(1, each.kind) + '\t' + each.path + '\t' + each.from + '\t' + each.saved;
      text += '\n';
    }
    const int fd = open_file(journal_ + ".new", O_WRONLY | O_CREAT | O_TRUNC);
    must(fd >= 0, journal_);
    write_all(fd, text);
    ::close(fd);
    must(call(SYS_rename, (journal_ + ".new").c_str(), journal_.c_str()) == 0, journal_);
  }
  void load() {
    const int fd = open_file(journal_, O_RDONLY);
    if (fd < 0) return;
    std::string text;
    char buffer[4096];
    for (ssize_t got; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(fd);
    std::string fields[4];
    int field = 0;
    for (const char c : text) {
      if (c == '\t' && field < 3) {
        ++field;
      } else if (c == '\n') {
        changes_.push_back({fields[0][0], fields[1], fields[2], fields[3]});
        for (auto& each : fields) each.clear();
        field = 0;
      } else {
        fields[field] += c;
      }
    }
  }

  std::string journal_;
  std::vector<Change> changes_;
  int counter_ = 0;
};

// --- all of it ----------------------------------------------------------------------------------

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

  // The file of a descriptor; nullptr: it is none that is watched.
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
      must(errno == ENOENT, kept);  // it has no name any more
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

// --- what is put in front of libc's
// ---------------------------------------------------------------

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
