// Finds what RocksDB's reader of its own logs passes over in silence.
//
// RocksDB reads a log up to the first broken record at its end, or the write-ahead log up to the
// first broken record at all, and drops the rest. That is right after a failure of power, when the
// rest was never synced. It hides damage.
//
// - The manifest, which lists the tables: it is written rarely, so a broken end counts as damage.
// - The write-ahead log: each of Canopy's batches opens with the sequence number up to which all
//   was synced before (a LogData record of 8 bytes, big-endian). A batch behind a broken one that
//   says that it had been synced tells of damage. The last batch cannot be told from one that was
//   being written.
//
// Format of both: blocks of 32 KiB; records of masked CRC-32C (4 bytes), length (2), type (1:
// whole, 2: first, 3: middle, 4: last part), payload; numbers are little-endian. A batch opens with
// its sequence number (8) and its count (4).
// https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace canopy::shard {

// Calls `take` with the first bytes of each record of a log file: with as many as a batch opens
// with; and with nothing for each broken place.
void read_log(std::string_view file,
              const std::function<void(std::optional<std::string_view> start)>& take);

// Whether a manifest is whole.
bool check_manifest(std::string_view file);

class WalCheck {
 public:
  // Of one log file, whole; files come in the order of their numbers. False: a synced batch in it,
  // or in an earlier one, is damaged.
  bool read(std::string_view file);

 private:
  void on_batch(std::string_view start, bool first_in_file);
  void on_broken();

  std::optional<std::uint64_t> expected_;   // sequence number of the next batch; none read yet
  std::optional<std::uint64_t> lost_from_;  // that of the first batch that is missing
  bool damaged_ = false;
};

}  // namespace canopy::shard
