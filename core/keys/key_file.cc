#include "core/keys/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace canopy::keys {
namespace {

constexpr mode_t owner_only = S_IRUSR | S_IWUSR;
constexpr mode_t all_may_read = S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH;

base::Error failure(const std::string& path, const std::string& what) {
  return base::Error{path + ": " + what};
}

// The value of a line such as `    public-key = "…"`.
base::Result<std::string> read_field(const std::string& path, const std::string& field) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return failure(path, "is not a file");
  }
  std::ifstream file(path);
  if (!file) return failure(path, std::string("cannot be read: ") + std::strerror(errno));
  for (std::string line; std::getline(file, line);) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line.compare(begin, field.size(), field) != 0) continue;
    const auto open = line.find('"', begin + field.size());
    const auto close = line.find('"', open == std::string::npos ? open : open + 1);
    if (close == std::string::npos) break;
    std::string key = line.substr(open + 1, close - open - 1);
    if (access::is_key(key)) return key;
    break;
  }
  return failure(path, "holds no " + field + " of 40 characters of Z85");
}

base::Status write_file(const std::string& path, mode_t mode, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return failure(path, std::string("cannot be made: ") + std::strerror(errno));
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int why = errno;
  if (close(fd) == 0 && written) return {};
  unlink(path.c_str());
  return failure(path, std::string("cannot be written: ") + std::strerror(why));
}

}  // namespace

base::Result<std::string> read_public_key(const std::string& path) {
  return read_field(path, "public-key");
}

base::Result<std::string> public_key_of(const std::string& text, const std::string& path) {
  if (access::is_key(text) && ::access(path.c_str(), F_OK) != 0) return text;
  return read_public_key(path);
}

base::Status check_private(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return failure(path, std::string("cannot be read: ") + std::strerror(errno));
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return failure(path, "is open to others than its owner: chmod 600");
  }
  return {};
}

base::Result<access::KeyPair> read_key_pair(const std::string& path) {
  if (const auto status = check_private(path); !status) return base::Error{status.error()};
  auto public_key = read_field(path, "public-key");
  if (!public_key) return base::Error{public_key.error()};
  auto secret_key = read_field(path, "secret-key");
  if (!secret_key) return base::Error{secret_key.error()};
  return access::KeyPair{.public_key = std::move(*public_key),
                         .secret_key = std::move(*secret_key)};
}

base::Status write_key_files(const std::string& directory, const std::string& name,
                             const access::KeyPair& pair) {
  const std::string path = directory + "/" + name + ".key";
  const std::string head = "metadata\n    name = \"" + name + "\"\ncurve\n    public-key = \"" +
                           pair.public_key + "\"\n";
  const std::string secret = "    secret-key = \"" + pair.secret_key + "\"\n";
  if (auto status = write_file(path + "_secret", owner_only, head + secret); !status) return status;
  auto status = write_file(path, all_may_read, head);
  if (!status) unlink((path + "_secret").c_str());
  return status;
}

}  // namespace canopy::keys
