// What a shard keeps on disk of its partitions: one RocksDB database, whose write-ahead log takes
// the operations of all partitions with one fdatasync. The only user of RocksDB.
//
//   state_dir/SHARD/store/        the database; records: shard/storage_records.h
//   state_dir/SHARD/store.reserve space set aside for when the disk is full
//
// Damage is named and never overlooked: a database that is damaged as a whole is not opened, a
// partition whose records are damaged has no copy. Neither is ever silently empty.
//
// Room. `reserve_bytes` are set aside in a file (an eighth of a smaller disk). Space is low() when
// less than `min_free_bytes` is free besides, or the reserve is not whole: then nothing that grows
// the state should be taken. What is written nevertheless finds the disk full, gives the reserve
// up, and goes on: deletions, overwrites, and the compactions that free what they replaced. The
// reserve is made again once there is room for all of it. What is not in tables yet is at most half
// as much: a start on a full disk has room for it.
//
// Not thread-safe, but for backup(); StorageThread owns it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/cluster/replica.h"
#include "shard/space_reserve.h"
#include "shard/storage_records.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Status;
class WriteBatch;
}  // namespace rocksdb

namespace canopy::shard {

class Storage {
 public:
  static constexpr std::uint64_t max_requests = records::max_requests;
  static constexpr std::uint64_t reserve_bytes = std::uint64_t{64} << 20;

  // A replica as it was stored last.
  struct Copy {
    std::string identity{};  // drawn when the copy was made
    cluster::Replica::Recovered recovered{};
  };
  struct Operations {
    std::string partition{};
    std::vector<cluster::Replica::Store> operations{};
  };

  // Opens the database at `path`, or creates it where nothing is. Its parent exists, and is held by
  // this process.
  static base::Result<std::unique_ptr<Storage>> open(const std::string& path,
                                                     std::uint64_t reserve = reserve_bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  // Reads the copy of a partition whole, or makes an empty one. `retain`: entries are kept once
  // they are committed.
  base::Result<Copy> open_copy(const std::string& partition, bool retain = true);
  // Whether there is a copy of the partition.
  base::Result<bool> has_copy(const std::string& partition) const;
  // Forgets a partition, open or not: its next copy is another replica.
  base::Status drop_copy(const std::string& partition);

  // Takes the operations of open copies, in order, as one atomic group. With `sync` the group and
  // all before it last when this returns; without, a failure of the machine may take the last ones
  // back, whole groups from the end.
  // An error: the group need not last yet. retry() opens the database again and writes the group
  // once more; before that has succeeded, other calls fail.
  base::Status write(std::vector<Operations> groups, bool sync);
  base::Status retry();
  base::Status sync();
  // Whether retry() is wanted.
  bool failed() const { return failed_; }
  // Whether the last error is that the disk is full.
  bool out_of_room() const { return out_of_room_; }

  // Looks how much space there is, and frees what was deleted while it is low; to be called about
  // once a second. An error is like one of write().
  base::Status look_for_room();
  bool low() const { return reserve_.low(); }

  // Copies the whole database to a new directory, as of some moment during the call, and returns
  // once that is on disk. The parent is made where it is missing; files are linked where the file
  // system is the same. A copy that is opened holds new replicas: it may be older than what they
  // have acknowledged. From any thread.
  base::Status backup(const std::string& path) const;
  // Copies a directory that backup() has made, and nothing has opened, to `path`, where nothing is
  // or an empty directory. Reads all of it: `path` is whole and on disk, or as it was. The
  // directory of `path` is held by this process.
  static base::Status restore(const std::string& backup, const std::string& path);

 private:
  enum Family : std::size_t { meta, entries, tail, requests, families };
  struct OpenCopy {
    std::string partition{};
    std::uint64_t number = 0;  // 0: its Split is not carried out yet
    std::string identity{};
    bool retain = true;
    records::State state{};
    std::vector<keyspace::EpochEnd> history{};  // its end: see end_history()
    std::optional<cluster::PartitionRecord> record{};
    std::deque<keyspace::LogEntry> tail{};
    std::string requests{};                       // of this group, encoded
    std::deque<std::uint64_t> request_records{};  // the serials that they begin with
  };
  struct Work {
    OpenCopy* copy;
    cluster::Replica::Operation operation;
  };

  Storage(std::string path, std::uint64_t reserve);
  static base::Status create(const std::string& path);
  static base::Status sync_parent(const std::string& path);
  base::Status verify();
  base::Status open_existing(bool strict);
  base::Status check_room();
  void remove_unfinished_tables() const;
  base::Status open_database(bool create);
  void empty_log();
  void close_database();
  base::Status check_format();
  base::Status find_copies();
  base::Status forget_all_but(const std::set<std::uint64_t>& numbers);

  base::Status make_copy(OpenCopy& copy);
  base::Status load(OpenCopy& copy, Copy& out) const;
  base::Status load_meta(OpenCopy& copy) const;
  base::Status load_entries(const OpenCopy& copy, cluster::Replica::Recovered& out) const;
  base::Status load_requests(OpenCopy& copy, std::vector<keyspace::AppliedRequest>& out) const;
  base::Status load_tail(OpenCopy& copy) const;
  // Calls `take` with what follows the prefix in each key that has it, and the value; false: that
  // is damaged.
  base::Status for_each(
      Family family, const std::string& prefix,
      const std::function<bool(std::string_view key, std::string_view value)>& take) const;

  base::Status apply(OpenCopy& copy, cluster::Replica::BeginEpoch& operation);
  base::Status apply(OpenCopy& copy, cluster::Replica::StoreEntries& operation);
  base::Status apply(OpenCopy& copy, cluster::Replica::Truncate& operation);
  base::Status apply(OpenCopy& copy, cluster::Replica::Commit& operation);
  base::Status apply(OpenCopy& copy, cluster::Replica::Split& operation);
  base::Status apply(OpenCopy& copy, cluster::Replica::Install& operation);
  base::Status apply(OpenCopy& copy, cluster::Replica::Remember& operation);
  struct Contents {
    const keyspace::TreeView& tree;
    const std::vector<keyspace::UpdatePtr>& splits;
    const std::vector<keyspace::AppliedRequest>& requests;
  };
  base::Status check_room_to_stage();
  base::Status stage(std::uint64_t number, const Contents& contents);
  void begin(OpenCopy& copy, std::uint64_t number, keyspace::Revision cut, std::size_t applied,
             std::vector<keyspace::EpochEnd> history);
  void commit_tail(OpenCopy& copy, keyspace::Revision to);
  void keep(OpenCopy& copy, const keyspace::LogEntry& entry);
  void put_state(OpenCopy& copy);
  static void end_history(OpenCopy& copy);
  void put_history(const OpenCopy& copy);
  void forget(std::uint64_t number);

  void put(Family family, std::string_view key, std::string_view value);
  void put(std::string_view key, std::string_view value) { put(meta, key, value); }
  std::unique_ptr<rocksdb::WriteBatch> new_batch() const;
  base::Status write_batch(rocksdb::WriteBatch& batch, bool sync);
  base::Status attempt();
  base::Status finish();
  base::Error failure(const rocksdb::Status& status);

  std::string path_;
  SpaceReserve reserve_;
  mutable std::mutex mutex_;  // held while database_ is replaced, or used by another thread
  std::unique_ptr<rocksdb::DB> database_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // by Family
  std::map<std::string, OpenCopy> copies_;             // by partition; Work points into it
  std::uint64_t next_copy_ = 1;
  std::uint64_t compacted_ = 0;  // the sequence number up to which deletions were compacted
  std::uint64_t synced_ = 0;     // the sequence number up to which all is synced

  std::deque<Work> work_;                       // taken, not yet in the batch
  std::unique_ptr<rocksdb::WriteBatch> batch_;  // taken, not yet written; null: nothing
  bool sync_batch_ = false;
  std::set<OpenCopy*> changed_;           // whose state is not in the batch yet
  std::vector<std::uint64_t> forgotten_;  // numbers of copies that the batch removes
  std::shared_ptr<std::atomic<bool>>
      background_error_;  // of RocksDB's threads, since it was opened
  bool failed_ = false;
  bool out_of_room_ = false;
};

}  // namespace canopy::shard
