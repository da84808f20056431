// The entries of a directory that no lease holds (core/cluster/directory_record.h) in a file:
//
//   DIRECTORY/entries      canopy-entries 1
//                          batch BYTES FINGERPRINT     (any number of batches)
//                          VERSION REQUEST SESSION-BYTES KEY-BYTES VALUE-BYTES
//                          SESSION KEY VALUE
//                          …
//
// Changes are appended, those of one turn as one batch with one fsync. When more than half of the
// file is outdated, and after an error, the next change writes a new file with the present entries
// alone: DIRECTORY/entries.new, renamed once it is on disk. Opening the file needs no disk space.
// Not thread-safe.
//
// A batch is begun only when the previous one is on disk. So a broken batch at the end was never
// reported, and is left out. A broken batch before a whole one was damaged, and is an error.
// Without the file the directory begins without entries. A process that has acted on a lost entry
// knows its value (of partitions: the replicas), and may set it again.
//
// A change that cannot be written is not reported; the next change tries again.
#pragma once

#include <memory>
#include <string>

#include "core/cluster/directory_record.h"
#include "core/net/descriptor.h"

namespace canopy::coordination {

class EntriesFile {
 public:
  using Entries = cluster::DirectoryRecord::Entries;

  // Outdated bytes that the file may hold in addition to the size of its present entries.
  static constexpr std::size_t spare_bytes = std::size_t{1} << 20;

  // `directory` exists, and no other process uses it.
  static base::Result<std::unique_ptr<EntriesFile>> open(const std::string& directory);

  const Entries& present() const { return present_; }
  // Stores `changed` on disk. After an error they are not present, but a restart may find them.
  base::Status keep(const Entries& changed);

 private:
  explicit EntriesFile(const std::string& directory);
  base::Status go_on(const std::string& text);
  base::Status read(const std::string& text);
  base::Status append(const std::string& batch);
  base::Status rewrite(const Entries& entries);

  std::string directory_;
  std::string path_;
  Entries present_{};
  net::Descriptor file_{};  // none after an error
  std::size_t size_ = 0;
  std::size_t size_when_written_ = 0;  // with the present entries alone
};

}  // namespace canopy::coordination
