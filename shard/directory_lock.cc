#include "shard/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

namespace canopy::shard {

namespace fs = std::filesystem;

base::Result<std::unique_ptr<DirectoryLock>> DirectoryLock::take(
    const std::string& directory, std::chrono::milliseconds patience) {
  std::error_code fault;
  fs::create_directories(directory, fault);
  if (fault) return base::Error{directory + ": cannot be made: " + fault.message()};
  const std::string path = directory + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return base::Error{path + ": " + std::strerror(errno)};
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() >= give_up) {
      ::close(fd);
      return std::unique_ptr<DirectoryLock>();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

}  // namespace canopy::shard
