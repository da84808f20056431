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
// Each change of the generations is a file that is on disk before it takes the place of the old
// one, which then waits as DIRECTORY/generations.new for the next change. Not thread-safe.
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
  // Where a directory without a file starts: above every sequence and epoch that a process could
  // have taken from the clock, as Canopy without generations did.
  static constexpr std::uint32_t first_generation = 1U << 21;

  // Makes `directory` when it is missing, locks it and reads the file. An error says what is wrong
  // and what to do; a predecessor that is going away is waited for until `patience` is over.
  static base::Result<std::unique_ptr<DirectoryFile>> open(const std::string& directory,
                                                           std::chrono::milliseconds patience);

  // Goes on from what the file says and keeps every change in it; this object must outlive it.
  // An error where the file cannot be written.
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
