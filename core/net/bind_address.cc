#include "core/net/bind_address.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "core/base/host.h"

namespace canopy::net {
namespace {

constexpr std::string_view tcp = "tcp://";
constexpr std::string_view ipc = "ipc://";

}  // namespace

base::Result<std::string> listening_endpoint(const std::string& endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(tcp) || colon < tcp.size()) return endpoint;
  const auto host = base::listening_host(endpoint.substr(tcp.size(), colon - tcp.size()));
  if (!host) return base::Error{host.error()};
  return std::string(tcp) + *host + endpoint.substr(colon);
}

bool is_ipv6(const std::string& endpoint) {
  return endpoint.starts_with(tcp) && endpoint.find('[') == tcp.size();
}

IpcPath look_at(const std::string& endpoint) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!endpoint.starts_with(ipc)) return IpcPath::free;
  const std::string path = endpoint.substr(ipc.size());
  // `*` is a path of libzmq's choosing; one of the abstract namespace (`@`) cannot be removed.
  if (path == "*" || path.starts_with('@') || path.size() >= sizeof address.sun_path) {
    return IpcPath::free;
  }
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return IpcPath::free;
  if (!S_ISSOCK(status.st_mode)) return IpcPath::no_socket;
  std::ranges::copy(path, address.sun_path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return IpcPath::in_use;
  const bool refused =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno == ECONNREFUSED;
  close(fd);
  return refused ? IpcPath::free : IpcPath::in_use;
}

}  // namespace canopy::net
