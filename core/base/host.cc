#include "core/base/host.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>

namespace canopy::base {
namespace {

std::string to_text(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  return inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size()) == nullptr ? ""
                                                                                    : text.data();
}

// Connecting a datagram socket sends nothing, and binds it to the address that the kernel would
// send from.
std::optional<std::string> routed_address() {
  sockaddr_in elsewhere{};
  elsewhere.sin_family = AF_INET;
  elsewhere.sin_port = htons(9);
  inet_pton(AF_INET, "192.0.2.1", &elsewhere.sin_addr);  // reserved for documents: nobody's
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  sockaddr_in own{};
  socklen_t size = sizeof own;
  const bool known =
      connect(fd, reinterpret_cast<const sockaddr*>(&elsewhere), sizeof elsewhere) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0;
  close(fd);
  if (!known || own.sin_addr.s_addr == htonl(INADDR_ANY)) return std::nullopt;
  return to_text(own);
}

std::optional<std::string> interface_address() {
  ifaddrs* found = nullptr;
  if (getifaddrs(&found) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(found, &freeifaddrs);
  for (const ifaddrs* each = found; each != nullptr; each = each->ifa_next) {
    const bool usable = (each->ifa_flags & IFF_UP) != 0 && (each->ifa_flags & IFF_LOOPBACK) == 0;
    if (!usable || each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    return to_text(*reinterpret_cast<const sockaddr_in*>(each->ifa_addr));
  }
  return std::nullopt;
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

Result<std::string> own_address() {
  if (auto address = routed_address()) return *address;
  if (auto address = interface_address()) return *address;
  return Error{"this machine has no IPv4 address but the loopback's"};
}

}  // namespace canopy::base
