// Holds `directory` (made when missing) for this process, so that two shards never share a store.
// A predecessor that is just going away is waited for.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/base/result.h"

namespace canopy::shard {

class DirectoryLock {
 public:
  // Null when another process still holds it after `patience`; an error when the directory cannot
  // be written.
  static base::Result<std::unique_ptr<DirectoryLock>> take(const std::string& directory,
                                                           std::chrono::milliseconds patience);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace canopy::shard
