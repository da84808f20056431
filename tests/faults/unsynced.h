// The journals of unsynced changes of files and names, for lost_sync.cc only. Not thread-safe.
//
// Its system calls bypass the functions of lost_sync.cc. A failure ends the process, as an
// incomplete journal would hide faults.
#pragma once

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace canopy::faults {

constexpr std::uint64_t page_bytes = 4096;
// A journal of this size is truncated at the next sync.
constexpr off_t journal_bytes = off_t{1} << 20;

// --- system calls that bypass lost_sync.cc ------------------------------------------------------

template <class... Arguments>
long call(long number, Arguments... arguments) {
  return ::syscall(number, arguments...);
}
inline int open_file(const std::string& path, int flags, mode_t mode = 0644) {
  return static_cast<int>(call(SYS_openat, AT_FDCWD, path.c_str(), flags | O_CLOEXEC, mode));
}
inline void must(bool done, const std::string& what) {
  if (done) return;
  std::fprintf(stderr, "lost_sync: %s: %s\n", what.c_str(), std::strerror(errno));
  std::abort();
}
inline void write_all(int fd, const std::string& bytes) {
  must(call(SYS_write, fd, bytes.data(), bytes.size()) == std::ssize(bytes), "write a journal");
}
inline void remove_file(const std::string& path) { call(SYS_unlinkat, AT_FDCWD, path.c_str(), 0); }
inline bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
inline std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
inline std::string path_of(int fd) {
  char path[PATH_MAX];
  const auto link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
  return length < 0 ? "" : std::string(path, static_cast<std::size_t>(length));
}
inline std::string absolute(int directory, const char* path) {
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

  // `name`: path of the journal. NAME.file is a hard link to the file.
  explicit File(std::string name) : name_(std::move(name)) {
    file_ = open_file(name_ + ".file", O_RDWR);
    must(file_ >= 0, name_ + ".file");
    load();
  }
  // Starts the journal of a file.
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
    // Bytes beyond the synced size need no copy.
    const std::uint64_t end = std::min(offset + length, size_);
    for (std::uint64_t at = offset / page_bytes * page_bytes; at < end; at += page_bytes) {
      if (pages_.contains(at)) continue;
      std::string content(std::min(page_bytes, size_ - at), '\0');
      must(::pread(file_, content.data(), content.size(), static_cast<off_t>(at)) >= 0, name_);
      write_all(journal_, bytes_of({Record::page, at, content.size()}) + content);
      pages_[at] = {};  // only cut() needs the content, from the journal
    }
  }
  // A write through a descriptor with O_DSYNC syncs only these bytes.
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
    everything = everything || now < size_;  // a truncation is synced or undone as a whole
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
        // The process was killed while it wrote this record: the page is unchanged.
        if (::read(journal_, content.data(), content.size()) != std::ssize(content)) break;
        pages_.try_emplace(record.offset, std::move(content));
      }
    }
  }

  std::string name_;
  int file_ = -1;
  int journal_ = -1;
  std::uint64_t size_ = 0;                      // synced
  std::map<std::uint64_t, std::string> pages_;  // synced content of changed pages
};

// --- names --------------------------------------------------------------------------------------

// Unsynced changes of directories, in order.
class Names {
 public:
  struct Change {
    char kind;  // c: `path` is created, r: `from` is renamed to it, u: it is removed
    std::string path;
    std::string from;
    std::string saved;  // hard link to the earlier file of `path`; empty: none
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

  // Undoes the last `count` changes and keeps the others.
  void cut(std::size_t count) {
    for (; count > 0; --count) {
      const Change& last = changes_.back();
      if (last.kind == 'c') remove_file(last.path);
      if (last.kind == 'r' && !exists(last.from)) {
        call(SYS_rename, last.path.c_str(), last.from.c_str());
      }
      if (!last.saved.empty()) call(SYS_rename, last.saved.c_str(), last.path.c_str());
      remove_file(last.saved);  // rename() leaves both names of one file
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

}  // namespace canopy::faults
