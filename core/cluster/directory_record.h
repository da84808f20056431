// The persistent state of a directory: the generations that it has granted, the holder of each
// exclusive name, and the entries without a lease.
//
// Generations only grow. A block of them is reserved on disk before the first of the block is
// granted, so that a restarted directory continues above all of them.
// Pure: callbacks store. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "core/base/result.h"

namespace canopy::cluster {

class DirectoryRecord {
 public:
  // The largest generation: as the upper part of a revision or of a proxy's stamps, above a counter
  // of 40 bits, it leaves them positive as signed 64-bit numbers.
  static constexpr std::uint32_t max_generation = (1U << 23) - 1;
  static constexpr int counter_bits = 40;
  static constexpr std::size_t max_holders = 4096;

  struct Kept {
    std::string identity{};      // of the record; drawn at random when a record begins
    std::uint32_t reserved = 0;  // generations up to here may have been granted
    // Generations up to here may have been granted by an earlier, lost record as well.
    std::uint32_t floor = 0;
    std::map<std::string, std::string> holders{};  // name -> identity of its last holder
  };
  // Stores `kept` durably before it returns.
  using Keep = std::function<base::Status(const Kept& kept)>;

  // The value of a key without a lease, and the request that set it.
  struct Entry {
    std::string value{};
    std::uint64_t version = 0;
    std::string session{};
    std::uint64_t request = 0;

    bool operator==(const Entry&) const = default;
  };
  using Entries = std::map<std::string, Entry>;
  // Stores `changed` durably before it returns. After an error a restart may find it, or not.
  using KeepEntries = std::function<base::Status(const Entries& changed)>;

  DirectoryRecord();  // stores nothing
  // Continues from `kept` and `entries`.
  DirectoryRecord(Kept kept, Keep keep, Entries entries = {}, KeepEntries keep_entries = {});

  // Reserves a block, if necessary, so that next() need not write.
  base::Status reserve();
  // The next generation, or why there is none.
  base::Result<std::uint32_t> next();
  // The largest generation that may have been granted.
  std::uint32_t last() const { return last_; }

  // An earlier record, which was lost, has granted numbers up to `known`.
  void raise_floor(std::uint32_t known);
  std::uint32_t floor() const { return kept_.floor; }

  const std::string& identity() const { return kept_.identity; }

  // Empty: no process is known to hold it.
  std::string holder(const std::string& name) const;
  base::Status set_holder(const std::string& name, const std::string& identity);
  // Frees the name; stored with the next change.
  void forget_holder(const std::string& name) { kept_.holders.erase(name); }

  // The entries that this record began with. Call once.
  Entries take_entries() { return std::exchange(entries_, {}); }
  base::Status keep_entries(const Entries& changed);

  // Why the last change could not be kept; empty when it could.
  const std::string& failure() const { return failure_.empty() ? entries_failure_ : failure_; }

 private:
  base::Status keep(Kept kept);
  // Grants only generations above `known` from now on.
  void raise(std::uint32_t known);

  Kept kept_;
  Keep keep_;
  Entries entries_;
  KeepEntries keep_entries_;
  std::uint32_t last_;
  std::uint32_t block_;
  std::string failure_;
  std::string entries_failure_;
};

}  // namespace canopy::cluster
