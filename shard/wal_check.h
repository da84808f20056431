// Finds damage in RocksDB's logs that RocksDB's own reader does not report. Pure; not thread-safe.
//
// RocksDB reads a log up to the first broken record at its end, and the write-ahead log up to its
// first broken record. It drops the rest. After a power failure that is right: the rest was never
// synced. But it hides damage.
//
// - The manifest, which lists the tables, is written rarely: a broken end counts as damage.
// - Write-ahead log: each batch of Canopy begins with the sequence number up to which the log was
//   synced before (a LogData record of 8 bytes, big-endian). If a batch after a broken one has a
//   number beyond the broken one, synced data is damaged. A damaged last batch looks like one that
//   was being written.
//
// Format of both: blocks of 32 KiB; records of masked CRC-32C (4 bytes), length (2), type (1:
// whole, 2: first, 3: middle, 4: last part), payload; numbers are little-endian. A batch begins
// with its sequence number (8) and its count (4).
// https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace canopy::shard {

// Calls `visit` for each record of a log file with its first bytes, enough for the beginning of a
// batch; and with nothing for each broken place.
void read_log(std::string_view file,
              const std::function<void(std::optional<std::string_view> start)>& visit);

// True when a manifest is whole.
bool check_manifest(std::string_view file);

class WalCheck {
 public:
  // Checks one whole log file; pass files in the order of their numbers. False when a synced batch
  // in this or an earlier file is damaged.
  bool read(std::string_view file);

 private:
  void on_batch(std::string_view start, bool first_in_file);
  void on_broken();

  std::optional<std::uint64_t> expected_;   // sequence number of the next batch; none read yet
  std::optional<std::uint64_t> lost_from_;  // sequence number of the first missing batch
  bool damaged_ = false;
};

}  // namespace canopy::shard
