#include "core/coordination/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/net/descriptor.h"

namespace canopy::coordination {

base::Error system_error(const std::string& path) {
  return base::Error{path + ": " + std::strerror(errno)};
}

base::Status write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return system_error(path);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

base::Status sync_file(int fd, const std::string& path) {
  return ::fsync(fd) == 0 ? base::Status() : system_error(path);
}

base::Status sync_directory(const std::string& path) {
  const net::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return directory ? sync_file(directory.get(), path) : system_error(path);
}

base::Result<std::optional<std::string>> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in && errno == ENOENT) return std::optional<std::string>();
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || in.bad()) return base::Error{path + ": cannot be read: " + std::strerror(errno)};
  return std::optional(text.str());
}

}  // namespace canopy::coordination
