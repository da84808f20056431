// The store of a shard's disk partitions: one RocksDB database, whose write-ahead log takes the
// operations of all partitions with one fdatasync. The only user of RocksDB. Not thread-safe,
// except backup(); StorageThread owns it. Format: shard/storage_records.h.
//
//   state_dir/SHARD/store/        the database
//   state_dir/SHARD/store.reserve disk space reserved for a full disk
//
// Damage is reported: a damaged database is not opened, and a partition with damaged records has no
// copy. Neither ever opens as empty.
//
// Disk space. A file reserves `reserve_bytes` (an eighth of a smaller disk). Space is low() when
// less than `min_free_bytes` is free beside it, or the reserve is incomplete. The caller then
// refuses writes that grow the state. Deletions, overwrites and compactions go on: where they find
// the disk full, the store gives the reserve up. It restores the whole reserve once it fits. Data
// outside tables is at most half the reserve, so that the store can open on a full disk.
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

  // A replica as last stored.
  struct Copy {
    std::string identity{};  // drawn when the copy was made
    cluster::Replica::Recovered recovered{};
  };
  struct Operations {
    std::string partition{};
    std::vector<cluster::Replica::Store> operations{};
  };

  // Opens the database at `path`, or creates it if nothing is there. The parent directory exists,
  // and this process holds its lock.
  static base::Result<std::unique_ptr<Storage>> open(const std::string& path,
                                                     std::uint64_t reserve = reserve_bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  // Reads the whole copy of a partition, or makes an empty one. `retain`: keep committed entries.
  base::Result<Copy> open_copy(const std::string& partition, bool retain = true);
  // Whether there is a copy of the partition.
  base::Result<bool> has_copy(const std::string& partition) const;
  // Removes the copy of a partition, open or not. Its next copy is another replica.
  base::Status drop_copy(const std::string& partition);

  // Writes the operations of open copies, in order, as one atomic group. With `sync` this group and
  // all earlier ones are durable on return. Without, a failure of the machine may lose the last
  // groups, each as a whole.
  // After an error the group may not be durable. retry() reopens the database and writes the group
  // again; until it succeeds, other calls fail.
  base::Status write(std::vector<Operations> groups, bool sync);
  base::Status retry();
  base::Status sync();
  // True until retry() succeeds.
  bool failed() const { return failed_; }
  // True when the last error was a full disk.
  bool out_of_room() const { return out_of_room_; }

  // Updates low(), and compacts deletions while space is low. Call it about once a second. An error
  // counts as one of write().
  base::Status check_space();
  bool low() const { return reserve_.low(); }

  // Copies the database, as of a moment during the call, to the new directory `path`; on return the
  // backup is durable. Makes a missing parent; links files on the same file system. A restored
  // backup holds new replicas, because it may lack acknowledged writes. From any thread.
  base::Status backup(const std::string& path) const;
  // Copies an unopened backup to `path`, which must not exist or be an empty directory. Checks
  // every block first: `path` is then whole and durable, or unchanged. This process holds the lock
  // of the parent directory.
  static base::Status restore(const std::string& backup, const std::string& path);

 private:
  enum Family : std::size_t { meta, entries, tail, requests, families };
  struct OpenCopy {
    std::string partition{};
    std::uint64_t number = 0;  // 0: its Split has not been applied yet
    std::string identity{};
    bool retain = true;
    records::State state{};
    std::vector<keyspace::EpochEnd> history{};  // its last element: see end_history()
    std::optional<cluster::PartitionRecord> record{};
    std::deque<keyspace::LogEntry> tail{};
    std::string requests{};                       // encoded requests of this group
    std::deque<std::uint64_t> request_records{};  // the first serial of each record
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
  // Calls `visit` for each key with the prefix, with the rest of the key and the value. `visit`
  // returns false for a damaged record.
  base::Status for_each(
      Family family, const std::string& prefix,
      const std::function<bool(std::string_view key, std::string_view value)>& visit) const;

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
  mutable std::mutex mutex_;  // held while database_ is replaced, and by backup()
  std::unique_ptr<rocksdb::DB> database_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // by Family
  std::map<std::string, OpenCopy> copies_;             // by partition; Work points into it
  std::uint64_t next_copy_ = 1;
  std::uint64_t compacted_ = 0;  // sequence number up to which deletions are compacted
  std::uint64_t synced_ = 0;     // sequence number up to which everything is synced

  std::deque<Work> work_;                       // accepted, not yet in batch_
  std::unique_ptr<rocksdb::WriteBatch> batch_;  // not yet written; null: empty
  bool sync_batch_ = false;
  std::set<OpenCopy*> changed_;           // copies whose state is not in batch_ yet
  std::vector<std::uint64_t> forgotten_;  // numbers of the copies that batch_ removes
  // Set by RocksDB's threads since the database was opened.
  std::shared_ptr<std::atomic<bool>> background_error_;
  bool failed_ = false;
  bool out_of_room_ = false;
};

}  // namespace canopy::shard
