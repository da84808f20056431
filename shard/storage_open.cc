// Storage: opens the database: options, checks, and remains of an earlier process.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/memtablerep.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/base/directory_lock.h"
#include "shard/storage.h"
#include "shard/wal_check.h"

namespace canopy::shard {
namespace {

namespace fs = std::filesystem;

// Bound of data that is in memory and in the log but not in tables, over all partitions; half the
// reserve at most. So a start on a full disk has room to write it to tables.
constexpr std::uint64_t max_buffer_bytes = std::uint64_t{32} << 20;
constexpr std::uint64_t buffers = 4;  // write buffers within that bound
constexpr std::size_t cache_bytes = std::size_t{8} << 20;
constexpr std::uint64_t table_bytes = std::uint64_t{16} << 20;
constexpr int max_open_tables = 128;
// Bytes that opening writes beside tables: options (20 KiB each time), a manifest, RocksDB's LOG.
constexpr std::uint64_t opening_bytes = std::uint64_t{1} << 20;

// Reports errors of background work. RocksDB's own recovery continues with a log that it could not
// write (facebook/rocksdb#12998), so Storage reopens the database instead.
class Errors final : public rocksdb::EventListener {
 public:
  explicit Errors(std::shared_ptr<std::atomic<bool>> seen) : seen_(std::move(seen)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* /*error*/) override {
    *seen_ = true;
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* automatic) override {
    *automatic = false;
  }

 private:
  std::shared_ptr<std::atomic<bool>> seen_;
};

rocksdb::ColumnFamilyOptions family_options(std::uint64_t buffered) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(cache_bytes);
  table.cache_index_and_filter_blocks = true;
  // So reading a copy reads no block of the next copy, which may be damaged.
  table.index_type = rocksdb::BlockBasedTableOptions::kBinarySearchWithFirstKey;
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = buffered / buffers;
  // No data is read from a memtable, except at a start.
  options.memtable_factory = std::make_shared<rocksdb::VectorRepFactory>();
  options.compression = rocksdb::kLZ4Compression;
  options.target_file_size_base = table_bytes;
  options.level_compaction_dynamic_level_bytes = true;
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> descriptors(std::uint64_t buffered) {
  const auto family = family_options(buffered);
  return {{rocksdb::kDefaultColumnFamilyName, family},
          {"entries", family},
          {"tail", family},
          {"requests", family}};
}

rocksdb::DBOptions database_options(bool create, std::uint64_t buffered) {
  rocksdb::DBOptions options;
  options.create_if_missing = create;
  options.create_missing_column_families = create;
  options.allow_concurrent_memtable_write = false;  // required by the vector memtable
  options.db_write_buffer_size = buffered;
  options.max_total_wal_size = buffered;
  options.max_bgerror_resume_count = 0;
  options.max_open_files = max_open_tables;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.keep_log_file_num = 2;
  options.max_log_file_size = std::size_t{1} << 20;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

std::string contents(const fs::path& file) {
  std::ostringstream bytes;
  bytes << std::ifstream(file, std::ios::binary).rdbuf();
  return bytes.str();
}

// In order of their numbers.
std::set<fs::path> logs_of(const std::string& path, std::error_code& fault) {
  std::set<fs::path> logs;
  for (fs::directory_iterator file(path, fault), end; !fault && file != end;
       file.increment(fault)) {
    if (file->path().extension() == ".log") logs.insert(file->path());
  }
  return logs;
}

// Finds damage that RocksDB does not report when it reads.
base::Status check_logs(const std::string& path) {
  std::error_code fault;
  const auto logs = logs_of(path, fault);
  if (fault) return base::Error{path + ": " + fault.message()};
  // A directory made by backup() has no log and no identity yet.
  if (logs.empty() && fs::exists(path + "/IDENTITY", fault)) {
    return base::Error{path + ": damaged: the log is missing"};
  }
  WalCheck check;
  for (const fs::path& log : logs) {
    if (!check.read(contents(log))) {
      return base::Error{path + ": damaged: what was synced is not in the log, at " +
                         log.filename().string() + " or before"};
    }
  }
  return {};
}

base::Status check_manifest_of(const std::string& path) {
  std::string manifest = contents(path + "/CURRENT");
  if (manifest.ends_with('\n')) manifest.pop_back();
  // Text of a damaged file may hold any bytes: keep them out of logs and JSON.
  if (manifest.find_first_not_of("MANIFEST-0123456789") != std::string::npos) manifest.clear();
  if (!check_manifest(contents(path + "/" + manifest))) {
    return base::Error{path + ": damaged: " + (manifest.empty() ? "CURRENT" : manifest)};
  }
  return {};
}

}  // namespace

Storage::Storage(std::string path, std::uint64_t reserve)
    : path_(std::move(path)),
      reserve_(path_ + ".reserve", reserve),
      background_error_(std::make_shared<std::atomic<bool>>(false)) {}

Storage::~Storage() {
  if (database_ != nullptr && !failed_ && !low()) empty_log();
  close_database();
}

// RocksDB always finds damage to a table, and never damage at the end of a log. One record stays in
// the log: if RocksDB kept an empty log, the loss of the next log could not be found.
void Storage::empty_log() {
  if (!database_->Flush({}, handles_).ok()) return;
  rocksdb::WriteBatch mark;
  mark.Put(handles_[meta], records::format_key, records::to_bytes(records::format));
  rocksdb::WriteOptions options;
  options.sync = true;
  database_->Write(options, &mark).PermitUncheckedError();
}

base::Result<std::unique_ptr<Storage>> Storage::open(const std::string& path,
                                                     std::uint64_t reserve) {
  std::error_code fault;
  const bool present = fs::exists(path, fault);
  if (fault) return base::Error{path + ": " + fault.message()};
  if (!present) {
    if (auto status = create(path); !status) return base::Error{status.error()};
  }
  const bool reserved = fs::exists(path + ".reserve", fault);
  std::unique_ptr<Storage> storage(new Storage(path, reserve));
  const bool was_full = reserved && !storage->reserve_.whole();
  storage->reserve_.check();
  if (storage->low()) storage->reserve_.give_up();  // opening needs space for files
  auto status = storage->open_existing(!was_full && !storage->low());
  if (status) status = storage->check_format();
  if (status) status = storage->find_copies();
  if (!status) return base::Error{status.error()};
  storage->reserve_.check();
  return storage;
}

// Creates it beside its place and renames it: a database under the final name is whole.
base::Status Storage::create(const std::string& path) {
  const std::string fresh = path + ".new";
  std::error_code fault;
  fs::remove_all(fresh, fault);
  if (fault) return base::Error{fresh + ": cannot be removed: " + fault.message()};
  {
    Storage storage(fresh, reserve_bytes);
    if (auto status = storage.open_database(true); !status) return status;
    std::string identity;
    if (const auto status = storage.database_->GetDbIdentity(identity); !status.ok()) {
      return storage.failure(status);
    }
    storage.batch_ = storage.new_batch();
    storage.sync_batch_ = true;
    storage.put(records::format_key, records::to_bytes(records::format));
    storage.put(records::database_key, identity);
    if (auto status = storage.finish(); !status) return status;
  }
  fs::remove(fresh + ".reserve", fault);
  fs::rename(fresh, path, fault);
  if (fault) return base::Error{path + ": cannot be made: " + fault.message()};
  return sync_parent(path);
}

// `strict`: a broken record at the end of the manifest counts as damage. Otherwise the disk may
// have been full, and RocksDB ignores the record.
base::Status Storage::open_existing(bool strict) {
  if (auto status = check_logs(path_); !status) return status;
  if (strict) {
    if (auto status = check_manifest_of(path_); !status) return status;
  }
  return open_database(false);
}

// RocksDB writes tables from the logs when it opens. On a full disk an assertion in Debian's
// library stops the process, so the space is checked before.
base::Status Storage::check_room() {
  std::error_code fault;
  std::uint64_t needed = opening_bytes;
  for (const fs::path& log : logs_of(path_, fault)) {
    const std::uint64_t bytes = fs::file_size(log, fault);
    if (!fault) needed += bytes;
  }
  const auto has_room = [&] {
    return fs::space(fs::path(path_).parent_path(), fault).available >= needed || fault;
  };
  if (!has_room()) remove_unfinished_tables();
  const bool room = has_room();
  if (fault) return base::Error{path_ + ": " + fault.message()};
  if (room) return {};
  out_of_room_ = true;
  return base::Error{path_ + ": the disk has no room to open it, which may take " +
                     std::to_string(needed) + " bytes"};
}

// Removes tables of a compaction that the end of the process cut short. RocksDB removes them only
// after it has written its own tables.
void Storage::remove_unfinished_tables() const {
  std::error_code fault;
  if (!fs::exists(path_ + "/CURRENT", fault)) return;
  rocksdb::DB* opened = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const std::uint64_t buffered = std::min(max_buffer_bytes, reserve_.bytes() / 2);
  if (!rocksdb::DB::OpenForReadOnly(database_options(false, buffered), path_, descriptors(buffered),
                                    &handles, &opened)
           .ok()) {
    return;
  }
  const std::unique_ptr<rocksdb::DB> database(opened);
  std::vector<rocksdb::LiveFileMetaData> live;
  database->GetLiveFilesMetaData(&live);
  for (auto* handle : handles) database->DestroyColumnFamilyHandle(handle);
  for (fs::directory_iterator file(path_, fault), end; !fault && file != end;
       file.increment(fault)) {
    const bool table = file->path().extension() == ".sst";
    const bool used = std::ranges::any_of(live, [&](const rocksdb::LiveFileMetaData& known) {
      return fs::path(known.name).filename() == file->path().filename();
    });
    std::error_code ignored;
    if (table && !used) fs::remove(file->path(), ignored);
  }
}

base::Status Storage::open_database(bool create) {
  if (auto status = check_room(); !status) return status;
  const std::uint64_t buffered = std::min(max_buffer_bytes, reserve_.bytes() / 2);
  auto options = database_options(create, buffered);
  options.listeners = {std::make_shared<Errors>(background_error_)};
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::Open(options, path_, descriptors(buffered), &handles_, &opened);
  if (!status.ok()) return failure(status);
  database_.reset(opened);
  synced_ = database_->GetLatestSequenceNumber();
  return {};
}

void Storage::close_database() {
  for (auto* handle : handles_) database_->DestroyColumnFamilyHandle(handle);
  handles_.clear();
  database_.reset();
  *background_error_ = false;
}

base::Status Storage::check_format() {
  std::string value;
  const auto status = database_->Get({}, handles_[meta], records::format_key, &value);
  if (status.IsNotFound()) return base::Error{path_ + ": is not a store of Canopy"};
  if (!status.ok()) return failure(status);
  if (value != records::to_bytes(records::format)) {
    return base::Error{path_ + ": is of format " + std::to_string(records::to_number(value)) +
                       ", this program reads format " + std::to_string(records::format)};
  }
  return {};
}

// Lists the copies. RocksDB draws a new identity for a directory made by backup(): its copies
// become new replicas.
base::Status Storage::find_copies() {
  std::string identity;
  std::string known;
  auto status = database_->GetDbIdentity(identity);
  if (status.ok()) status = database_->Get({}, handles_[meta], records::database_key, &known);
  if (!status.ok()) return failure(status);
  std::set<std::uint64_t> numbers;
  batch_ = new_batch();
  sync_batch_ = true;
  const std::string prefix(records::copy_prefix);
  auto read = for_each(meta, prefix, [&](std::string_view partition, std::string_view value) {
    const auto copy = records::decode_copy(value);
    if (!copy) return false;
    numbers.insert(copy->number);
    if (identity != known) {
      put(prefix + std::string(partition),
          records::encode(records::Copy{copy->number, base::random_identity()}));
    }
    return true;
  });
  if (!read) return read;
  if (identity != known) put(records::database_key, identity);
  if (!numbers.empty()) next_copy_ = *numbers.rbegin() + 1;
  if (auto removed = forget_all_but(numbers); !removed) return removed;
  return batch_->Count() > 0 ? finish() : base::Status();
}

// Removes the records of unfinished Installs: they are under numbers that no partition has. Ignores
// damage: open_copy() finds it in a copy. Future numbers must have no records.
base::Status Storage::forget_all_but(const std::set<std::uint64_t>& numbers) {
  for (const Family family : {entries, tail, requests}) {
    const std::unique_ptr<rocksdb::Iterator> iterator(database_->NewIterator({}, handles_[family]));
    for (std::uint64_t from = 0;; ++from) {
      iterator->Seek(records::to_bytes(from));
      if (iterator->Valid()) {
        from = records::to_number(iterator->key().ToStringView());
        if (!numbers.contains(from)) forget(from);
        continue;
      }
      if (iterator->status().ok()) break;
      if (!iterator->status().IsCorruption()) return failure(iterator->status());
      const auto next = numbers.lower_bound(from);
      if (next == numbers.end()) {
        batch_->DeleteRange(handles_[family], records::to_bytes(next_copy_),
                            std::string(9, '\xff'));
        break;
      }
      from = *next;
    }
  }
  return {};
}

}  // namespace canopy::shard
