#include "core/base/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string_view>
#include <thread>

namespace canopy::base {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t identity_digits = 32;

// The identity in the file, which this process has locked. Where it cannot be written it is this
// process's own: its successor is then another.
std::string read_or_draw_identity(int fd) {
  std::array<char, identity_digits + 2> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  const std::string_view present(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  if (present.size() == identity_digits + 1 && present.back() == '\n' &&
      present.find_first_not_of("0123456789abcdef") == identity_digits) {
    return std::string(present.substr(0, identity_digits));
  }
  std::string drawn = random_identity();
  const std::string line = drawn + "\n";
  // A line that is not whole is drawn anew next time.
  if (::ftruncate(fd, 0) == 0 && ::pwrite(fd, line.data(), line.size(), 0) > 0) ::fsync(fd);
  return drawn;
}

}  // namespace

std::string random_identity() {
  constexpr std::string_view hexadecimal = "0123456789abcdef";
  std::random_device random;
  std::string digits;
  while (digits.size() < identity_digits) {
    std::uint32_t bits = random();
    for (int i = 0; i < 8; ++i, bits >>= 4) digits += hexadecimal[bits & 15];
  }
  return digits;
}

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::acquire(const std::string& directory,
                                                              std::chrono::milliseconds patience) {
  std::error_code fault;
  fs::create_directories(directory, fault);
  if (fault) return Error{directory + ": cannot be made: " + fault.message()};
  const std::string path = directory + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Error{path + ": " + std::strerror(errno)};
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() >= give_up) {
      ::close(fd);
      return std::unique_ptr<DirectoryLock>();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  struct stat file {};
  ::fstat(fd, &file);
  const std::string identity = read_or_draw_identity(fd) + "-" + std::to_string(file.st_ino);
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd, identity));
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

}  // namespace canopy::base
