// Locks a directory for this process by flock(2) on its file `lock`, so that two processes never
// share its files. Not thread-safe.
//
// The file holds the identity of the directory, which the first process to lock it drew at random.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/base/result.h"

namespace canopy::base {

class DirectoryLock {
 public:
  // Makes `directory` when it is missing. Waits up to `patience` for another process to release the
  // lock, then returns null. An error when the directory cannot be written.
  static Result<std::unique_ptr<DirectoryLock>> acquire(const std::string& directory,
                                                        std::chrono::milliseconds patience);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  // The identity of the directory and the number of its lock file, so that a copy of the directory
  // has another one. A process that holds the lock under the same identity as an earlier process
  // is its successor: the earlier one has ended.
  const std::string& identity() const { return identity_; }

 private:
  DirectoryLock(int fd, std::string identity) : fd_(fd), identity_(std::move(identity)) {}
  int fd_;
  std::string identity_;
};

// 128 random bits, as 32 hexadecimal digits.
std::string random_identity();

}  // namespace canopy::base
