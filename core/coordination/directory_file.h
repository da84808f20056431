// The record of a directory (core/cluster/directory_record.h) in a file:
//
//   DIRECTORY/lock         held by the running broker
//   DIRECTORY/entries      see entries_file.h
//   DIRECTORY/generations  canopy-generations 1
//                          record IDENTITY
//                          reserved NUMBER
//                          floor NUMBER
//                          holder NAME IDENTITY   (any number of lines)
//                          end
//
// Each change of the generations writes a new file, syncs it and exchanges it with the old one,
// which remains as DIRECTORY/generations.new for the next change. Not thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/base/directory_lock.h"
#include "core/cluster/directory_record.h"
#include "core/coordination/entries_file.h"

namespace canopy::coordination {

class DirectoryFile {
 public:
  // The first generation of a directory without a file: above every sequence and epoch that Canopy
  // versions without generations took from the clock.
  static constexpr std::uint32_t first_generation = 1U << 21;

  // Creates `directory` if it is missing, locks it and reads the file. Waits up to `patience` for a
  // predecessor that holds the lock. An error says what is wrong and what to do.
  static base::Result<std::unique_ptr<DirectoryFile>> open(const std::string& directory,
                                                           std::chrono::milliseconds patience);

  // The record in the file; stores every change there. This object must outlive it. An error if the
  // file cannot be written.
  base::Result<cluster::DirectoryRecord> record();

 private:
  explicit DirectoryFile(const std::string& directory) : directory_(directory) {}
  base::Status read();
  base::Status write(const cluster::DirectoryRecord::Kept& kept) const;

  std::string directory_;
  std::unique_ptr<base::DirectoryLock> lock_{};
  std::unique_ptr<EntriesFile> entries_{};
  cluster::DirectoryRecord::Kept kept_{};
};

}  // namespace canopy::coordination
