#include "shard/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "core/wire/entry.h"
#include "shard/lmdb.h"
#include "shard/record.h"

namespace canopy::shard {
namespace {

namespace fs = std::filesystem;
using keyspace::Revision;
using keyspace::UpdatePtr;

constexpr std::string_view state_key = "state";
// After a write that found no room, what was gathered is tried again this much later.
constexpr base::Duration retry_pause = std::chrono::seconds(1);
constexpr std::size_t max_file_name = 255 - 4;  // a store is made as NAME.new

// FNV-1a: the same on every machine and in every version.
std::uint64_t digest_of(std::string_view text) {
  std::uint64_t digest = 0xcbf29ce484222325;
  for (const char c : text) digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return digest;
}

// Of what a store keeps, in what form. A store of another format is refused.
constexpr unsigned format = 2;

int put_state(MDB_txn* transaction, MDB_dbi meta, Revision revision, std::uint64_t count) {
  const std::string text = std::to_string(format) + " " + std::to_string(revision.epoch()) + " " +
                           std::to_string(revision.counter()) + " " + std::to_string(count);
  MDB_val key = to_val(state_key);
  MDB_val value = to_val(text);
  return mdb_put(transaction, meta, &key, &value, 0);
}

}  // namespace

// Escaped, a subtree may be longer than the name of a file: a digest then stands for its end.
std::string Store::directory_name(const std::string& subtree) {
  if (subtree.empty()) return "root";
  std::string name;
  for (const char c : subtree) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_') {
      name += c;
    } else {
      std::array<char, 4> escaped;
      std::snprintf(escaped.data(), escaped.size(), "%%%02X", static_cast<unsigned char>(c));
      name += escaped.data();
    }
  }
  if (name.size() <= max_file_name) return name;
  std::array<char, 17> digest;
  std::snprintf(digest.data(), digest.size(), "%016llx",
                static_cast<unsigned long long>(digest_of(subtree)));
  return name.substr(0, max_file_name - digest.size()) + "~" + digest.data();
}

base::Result<std::unique_ptr<Store>> Store::open(const Settings& settings, Recovered& recovered) {
  std::error_code fault;
  const bool present = fs::exists(settings.path, fault);
  if (fault) return base::Error{settings.path + ": " + fault.message()};
  if (!present) {
    if (auto status = create(settings); !status) return base::Error{status.error()};
  } else if (auto status = probe(settings); !status) {
    return base::Error{status.error()};
  }
  std::unique_ptr<Store> store(new Store(settings));
  if (auto status = store->open_environment(0); !status) return base::Error{status.error()};
  if (auto status = store->load(recovered); !status) return base::Error{status.error()};
  store->measure();
  store->capacity_.probe();
  return store;
}

// Made beside its place and then moved there: whatever stands under the final name is whole.
base::Status Store::create(const Settings& settings) {
  Settings fresh = settings;
  fresh.path += ".new";
  std::error_code fault;
  fs::remove_all(fresh.path, fault);
  fs::create_directories(fresh.path, fault);
  if (fault) return base::Error{settings.path + ": cannot be made: " + fault.message()};
  {
    Store store(fresh);
    if (auto status = store.open_environment(MDB_CREATE); !status) return status;
    if (auto status = store.begin_epoch(0); !status) return status;
  }
  fs::rename(fresh.path, settings.path, fault);
  if (fault) return base::Error{settings.path + ": cannot be made: " + fault.message()};
  // Without this a power cut may take back the name, and with it everything that is stored later.
  const int parent = ::open(fs::path(settings.path).parent_path().c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = parent >= 0 && ::fsync(parent) == 0;
  const std::string why = std::strerror(errno);
  if (parent >= 0) ::close(parent);
  return synced ? base::Status() : base::Error{settings.path + ": cannot be made: " + why};
}

// LMDB trusts its pages: a damaged file can crash whoever walks it. A child walks it first.
base::Status Store::probe(const Settings& settings) {
  const pid_t child = fork();
  if (child < 0) return base::Error{settings.path + ": fork: " + std::strerror(errno)};
  if (child == 0) {
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGABRT}) signal(fault, SIG_DFL);
    const int null = ::open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    Store store(settings);
    Recovered ignored;
    _exit(store.open_environment(0).ok() && store.load(ignored).ok() ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
    return base::Error{settings.path + ": data.mdb is damaged: its pages do not hold together"};
  }
  return {};  // what an orderly reader finds wrong, it will say again
}

base::Status Store::open_environment(unsigned create) {
  const std::string file = settings_.path + "/data.mdb";
  std::error_code fault;
  if (create == 0 && fs::file_size(file, fault) == 0) {
    return base::Error{file + ": is empty, its data are lost"};
  }
  if (fault) return base::Error{file + ": " + fault.message()};

  if (const int code = mdb_env_create(&environment_)) return failure("create", code);
  mdb_env_set_maxdbs(environment_, 3);
  mdb_env_set_mapsize(environment_, map_bytes());
  // Our own lock holds the directory: MDB_NOLOCK spares a file that a killed reader could stain.
  constexpr unsigned options = MDB_NOLOCK | MDB_NORDAHEAD;
  if (const int code = mdb_env_open(environment_, settings_.path.c_str(), options, 0644)) {
    return failure(code == MDB_INVALID ? "data.mdb is damaged" : "open", code);
  }
  if (auto status = check_size(); !status) return status;

  Transaction transaction;
  if (const int code = transaction.begin(environment_, 0)) return failure("begin", code);
  // A store without requests gains them.
  for (const auto& [name, database, flags] : {std::tuple{"entries", &entries_, create},
                                              {"requests", &requests_, unsigned{MDB_CREATE}},
                                              {"meta", &meta_, create}}) {
    if (const int code = mdb_dbi_open(transaction.get(), name, flags, database)) {
      return failure(code == MDB_NOTFOUND ? "data.mdb is not a Canopy store" : "open", code);
    }
  }
  if (const int code = transaction.commit()) return failure("commit", code);
  return {};
}

base::Status Store::check_size() const {
  MDB_envinfo info;
  MDB_stat stat;
  mdb_env_info(environment_, &info);
  mdb_env_stat(environment_, &stat);
  const std::uint64_t needed = (info.me_last_pgno + 1) * stat.ms_psize;
  std::error_code fault;
  const std::uint64_t size = fs::file_size(settings_.path + "/data.mdb", fault);
  if (fault) return base::Error{settings_.path + ": " + fault.message()};
  // A fresh file holds its two meta pages alone.
  if (size < needed && info.me_last_pgno > 1) {
    return base::Error{settings_.path + ": data.mdb is cut short: " + std::to_string(size) +
                       " bytes of " + std::to_string(needed)};
  }
  return {};
}

base::Status Store::load(Recovered& recovered) {
  Transaction transaction;
  if (const int code = transaction.begin(environment_, MDB_RDONLY)) return failure("begin", code);
  MDB_val key = to_val(state_key);
  MDB_val value{};
  if (const int code = mdb_get(transaction.get(), meta_, &key, &value)) {
    return failure("data.mdb has no state record", code);
  }
  unsigned written_format = 0;
  unsigned epoch = 0;
  unsigned long long counter = 0;
  unsigned long long entries = 0;
  const int fields = std::sscanf(std::string(to_view(value)).c_str(), "%u %u %llu %llu",
                                 &written_format, &epoch, &counter, &entries);
  if (fields >= 1 && written_format != format) {
    return base::Error{settings_.path + ": data.mdb is of format " +
                       std::to_string(written_format) + ", this program reads format " +
                       std::to_string(format)};
  }
  if (fields != 4 || epoch > Revision::max_epoch || counter > Revision::max_counter) {
    return base::Error{settings_.path + ": data.mdb has an unreadable state record"};
  }
  revision_ = Revision(epoch, counter);
  count_ = entries;
  recovered.epoch = epoch;
  if (auto status = load_entries(transaction.get(), recovered); !status) return status;
  return load_requests(transaction.get(), recovered);
}

base::Status Store::load_entries(MDB_txn* transaction, Recovered& recovered) {
  Cursor cursor;
  if (const int code = cursor.open(transaction, entries_)) return failure("read", code);
  MDB_val key{};
  MDB_val value{};
  int code = 0;
  while ((code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) == 0) {
    auto update = wire::decode_update(unsealed(to_view(value)));
    if (!update || (*update)->key != to_view(key) || (*update)->revision > revision_) {
      return base::Error{settings_.path + ": data.mdb has a damaged entry"};
    }
    recovered.tree.put(std::move(*update));
  }
  if (code != MDB_NOTFOUND) return failure("read", code);
  if (recovered.tree.size() != count_) {
    return base::Error{settings_.path + ": data.mdb holds " +
                       std::to_string(recovered.tree.size()) + " entries of " +
                       std::to_string(count_)};
  }
  return {};
}

base::Status Store::load_requests(MDB_txn* transaction, Recovered& recovered) {
  Cursor cursor;
  if (const int code = cursor.open(transaction, requests_)) return failure("read", code);
  MDB_val key{};
  MDB_val value{};
  int code = 0;
  while ((code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) == 0) {
    const std::string_view record = unsealed(to_view(value));
    if (record.size() < 3 * number_bytes || record.substr(0, number_bytes) != to_view(key)) {
      return base::Error{settings_.path + ": data.mdb has a damaged request"};
    }
    recovered.requests.push_back({.client = std::string(record.substr(3 * number_bytes)),
                                  .number = to_number(record.substr(2 * number_bytes)),
                                  .settled = to_number(record.substr(number_bytes)),
                                  .revision = Revision(to_number(record))});
  }
  return code == MDB_NOTFOUND ? base::Status() : failure("read", code);
}

Store::~Store() {
  if (environment_ != nullptr) mdb_env_close(environment_);
}

base::Status Store::begin_epoch(std::uint32_t epoch) {
  if (auto status = sync(); !status) return status;
  out_of_room_ = false;
  Transaction transaction;
  if (const int code = transaction.begin(environment_, 0)) return failure("begin", code);
  if (const int code = put_state(transaction.get(), meta_, Revision(epoch, 0), count_)) {
    return failure("write", code);
  }
  if (const int code = transaction.commit()) return failure("commit", code);
  revision_ = Revision(epoch, 0);
  measure();  // what was staged under the epoch before is forgotten
  return {};
}

base::Status Store::write(const std::vector<UpdatePtr>& updates,
                          const std::vector<AppliedRequest>& requests, base::TimePoint now) {
  const std::size_t updates_before = gathered_.size();
  const std::size_t requests_before = gathered_requests_.size();
  const std::size_t bytes_before = gathered_bytes_;
  if (gathered_.empty()) gathering_since_ = now;
  for (const UpdatePtr& update : updates) gathered_bytes_ += update->bytes();
  gathered_.insert(gathered_.end(), updates.begin(), updates.end());
  gathered_requests_.insert(gathered_requests_.end(), requests.begin(), requests.end());
  // What was answered already still waits for room: nothing more is answered before it is on disk.
  auto status = out_of_room_ ? sync() : sync_if_due(now);
  if (status) {
    capacity_.gathered();
  } else if (out_of_room_) {
    gathered_.resize(updates_before);
    gathered_requests_.resize(requests_before);
    gathered_bytes_ = bytes_before;
    capacity_.withdrawn();
  }
  return status;
}

base::Status Store::sync_if_due(base::TimePoint now) {
  if (now - gathering_since_ < settings_.sync_interval && gathered_bytes_ < max_gathered_bytes) {
    return {};
  }
  auto status = sync();
  if (!status && out_of_room_) gathering_since_ = now + retry_pause - settings_.sync_interval;
  return status;
}

base::Status Store::sync() {
  if (gathered_.empty()) return {};
  out_of_room_ = false;
  if (auto status = write_gathered(); !status) {
    if (out_of_room_) capacity_.failed();
    return status;
  }
  gathered_.clear();
  gathered_requests_.clear();
  gathered_bytes_ = 0;
  measure();
  return {};
}

// All or nothing.
base::Status Store::write_gathered() {
  Transaction transaction;
  if (const int code = transaction.begin(environment_, 0)) return failure("begin", code);
  if (auto status = put_entries(transaction.get()); !status) return status;
  if (auto status = put_requests(transaction.get()); !status) return status;
  MDB_stat stat;
  if (const int code = mdb_stat(transaction.get(), entries_, &stat)) return failure("stat", code);
  const Revision revision = gathered_.back()->revision;
  if (const int code = put_state(transaction.get(), meta_, revision, stat.ms_entries)) {
    return failure("write", code);
  }
  if (const int code = transaction.commit()) return failure("commit", code);
  revision_ = revision;
  count_ = stat.ms_entries;
  return {};
}

base::Status Store::put_entries(MDB_txn* transaction) {
  for (const UpdatePtr& update : gathered_) {
    MDB_val key = to_val(update->key);
    if (update->deleted) {
      const int code = mdb_del(transaction, entries_, &key, nullptr);
      if (code != 0 && code != MDB_NOTFOUND) return failure("delete", code);
    } else {
      MDB_val value{.mv_size = update->encoded().size() + crc_bytes, .mv_data = nullptr};
      if (const int code = mdb_put(transaction, entries_, &key, &value, MDB_RESERVE)) {
        return failure("write", code);
      }
      seal(update->encoded(), static_cast<char*>(value.mv_data));
    }
  }
  return {};
}

// Revisions only grow, so each is appended; the oldest make room.
base::Status Store::put_requests(MDB_txn* transaction) {
  for (const AppliedRequest& request : gathered_requests_) {
    const std::string revision = to_bytes(request.revision.value());
    const std::string record =
        sealed(revision + to_bytes(request.settled) + to_bytes(request.number) + request.client);
    MDB_val key = to_val(revision);
    MDB_val value = to_val(record);
    if (const int code = mdb_put(transaction, requests_, &key, &value, MDB_APPEND)) {
      return failure("write", code);
    }
  }
  MDB_stat stat;
  if (const int code = mdb_stat(transaction, requests_, &stat)) return failure("stat", code);
  Cursor cursor;
  if (const int code = cursor.open(transaction, requests_)) return failure("write", code);
  for (; stat.ms_entries > max_requests; --stat.ms_entries) {
    MDB_val key{};
    MDB_val value{};
    int code = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST);
    if (code == 0) code = mdb_cursor_del(cursor.get(), 0);
    if (code != 0) return failure("delete", code);
  }
  return {};
}

}  // namespace canopy::shard
