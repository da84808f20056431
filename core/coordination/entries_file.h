// The entries of a directory that no lease holds (core/cluster/directory_record.h) in a file:
//
//   DIRECTORY/entries      canopy-entries 1
//                          batch BYTES FINGERPRINT     (any number of batches)
//                          VERSION REQUEST SESSION-BYTES KEY-BYTES VALUE-BYTES
//                          SESSION KEY VALUE
//                          …
//
// Changes are appended, those of one turn as one batch with one fsync. When more than half of the
// file is outdated, and after an error, the next change writes it anew with the present entries
// alone: as DIRECTORY/entries.new, which takes its place once it is on disk. A start takes no room.
//
// A batch is begun only when the one before is on disk. So what is broken at the end was never
// told of, and is left out; what is broken before a batch that is whole was damaged, and is an
// error. Without the file the directory begins without entries. It cannot tell which entries there
// were: who has acted on one knows what it said (of partitions: the replicas), and may set it anew.
//
// What cannot be written is not told of; the next change tries again. Not thread-safe.
#pragma once

#include <memory>
#include <string>

#include "core/cluster/directory_record.h"
#include "core/net/descriptor.h"

namespace canopy::coordination {

class EntriesFile {
 public:
  using Entries = cluster::DirectoryRecord::Entries;

  // How much of the file may be outdated beside as much as there is.
  static constexpr std::size_t spare_bytes = std::size_t{1} << 20;

  // `directory` exists, and is this process's alone.
  static base::Result<std::unique_ptr<EntriesFile>> open(const std::string& directory);

  const Entries& present() const { return present_; }
  // On disk when it returns. After an error they are not present, and a restart may find them.
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
