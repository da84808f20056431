// A partition on disk: LMDB, one environment per partition, written before anything is published.
// The only user of LMDB. Not thread-safe.
//
//   state_dir/SHARD/lock               held by the running shard (core/base/directory_lock.h)
//   state_dir/SHARD/PARTITION/data.mdb PARTITION: the subtree with `/` as %2F; `root`
//
//   database "entries"  key → Update::encoded(), then its CRC-32 (4 bytes, little-endian)
//   database "requests" revision → the client's request that made it: the last `max_requests`;
//                       revision, settled, number (8 bytes each, big-endian), client, CRC
//   database "meta"     "state" → the text "2 EPOCH COUNTER ENTRIES"; 2 is the version of this
//                       format; a store of another one is not opened
//
// A store that cannot be read or written says why and stays closed: its partition is then not
// served, and never silently empty. A write for which there is no room changes nothing: see
// out_of_room(). The file may be larger than `max_bytes`, which bounds the entries: it also holds
// requests, pages that a commit has replaced, and a reserve of blocks (shard/capacity.h).
#pragma once

#include <lmdb.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/keyspace/tree.h"
#include "shard/capacity.h"
#include "shard/client_table.h"

namespace canopy::shard {

class Store {
 public:
  // How many requests back a repeated one is recognised after a restart.
  static constexpr std::size_t max_requests = 65'536;

  struct Settings {
    std::string path{};                    // the partition's directory
    std::uint64_t max_bytes = 4ull << 30;  // of entries
    // Zero: each write is on disk before it returns. Else writes are gathered and put on disk
    // together at least this often: what a crash can lose.
    base::Duration sync_interval{0};
  };
  struct Recovered {
    std::uint32_t epoch = 0;  // of the last leader; 0: never written
    keyspace::Tree tree{};
    std::vector<AppliedRequest> requests{};  // of clients, in the order they were applied
  };

  // The directory name of a partition.
  static std::string directory_name(const std::string& subtree);

  // Opens or creates, reads everything and checks it. Damage that would crash a reader is found by
  // a child process first: call it before threads start.
  static base::Result<std::unique_ptr<Store>> open(const Settings& settings, Recovered& recovered);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Records the epoch of a new leader, on disk when it returns.
  base::Status begin_epoch(std::uint32_t epoch);
  // In commit order, with the requests that made the updates. With a sync interval they may only
  // be gathered.
  base::Status write(const std::vector<keyspace::UpdatePtr>& updates,
                     const std::vector<AppliedRequest>& requests, base::TimePoint now);
  // Puts on disk what was gathered and is due.
  base::Status sync_if_due(base::TimePoint now);
  base::Status sync();
  // Whether the last of these failed because the disk or the file is full. Then nothing of it was
  // written; what had been gathered before is kept, and tried again.
  bool out_of_room() const { return out_of_room_; }

  // Asked before anything is written.
  Capacity& capacity() { return capacity_; }

 private:
  explicit Store(const Settings& settings)
      : settings_(settings),
        capacity_(settings.max_bytes, [this](std::uint64_t bytes) { return extend(bytes); }) {}
  static base::Status create(const Settings& settings);
  static base::Status probe(const Settings& settings);
  base::Status open_environment(unsigned create);
  base::Status check_size() const;
  base::Status load(Recovered& recovered);
  base::Status load_entries(MDB_txn* transaction, Recovered& recovered);
  base::Status load_requests(MDB_txn* transaction, Recovered& recovered);
  base::Status put_entries(MDB_txn* transaction);
  base::Status put_requests(MDB_txn* transaction);
  base::Status write_gathered();
  base::Error failure(const std::string& doing, int code);
  bool is_full(int code) const;
  std::uint64_t free_bytes() const;
  std::uint64_t map_bytes() const;
  bool extend(std::uint64_t file_bytes);
  void measure();

  // What a gathering store holds back at most before it writes early.
  static constexpr std::size_t max_gathered_bytes = std::size_t{16} << 20;

  Settings settings_;
  MDB_env* environment_ = nullptr;
  MDB_dbi entries_ = 0;
  MDB_dbi requests_ = 0;
  MDB_dbi meta_ = 0;
  keyspace::Revision revision_;
  std::uint64_t count_ = 0;
  std::vector<keyspace::UpdatePtr> gathered_;
  std::vector<AppliedRequest> gathered_requests_;
  std::size_t gathered_bytes_ = 0;
  base::TimePoint gathering_since_{};
  bool out_of_room_ = false;
  Capacity capacity_;
};

}  // namespace canopy::shard
