#include "core/base/host.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

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

// The first IPv4 address of an interface that `matches`.
template <typename Matches>
std::optional<std::string> interface_address(Matches matches) {
  ifaddrs* found = nullptr;
  if (getifaddrs(&found) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(found, &freeifaddrs);
  for (const ifaddrs* each = found; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET || !matches(*each)) {
      continue;
    }
    return to_text(*reinterpret_cast<const sockaddr_in*>(each->ifa_addr));
  }
  return std::nullopt;
}

bool is_outward(const ifaddrs& interface) {
  return (interface.ifa_flags & IFF_UP) != 0 && (interface.ifa_flags & IFF_LOOPBACK) == 0;
}

Result<std::string> resolve(const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int fault = getaddrinfo(name.c_str(), nullptr, &hints, &found); fault != 0) {
    return Error{"'" + name + "' has no IPv4 address (an IPv6 address is written in brackets): " +
                 gai_strerror(fault)};
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, &freeaddrinfo);
  return to_text(*reinterpret_cast<const sockaddr_in*>(found->ai_addr));
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

Result<std::string> own_address() {
  if (auto address = routed_address()) return *address;
  if (auto address = interface_address(is_outward)) return *address;
  return Error{"this machine has no IPv4 address but the loopback's"};
}

const std::string& announced_host() {
  static const std::string host = [] {
    auto address = own_address();
    return address ? *address : std::string("127.0.0.1");
  }();
  return host;
}

std::optional<std::string> interface_host(const std::string& name) {
  return interface_address([&](const ifaddrs& each) { return name == each.ifa_name; });
}

Result<std::string> listening_host(const std::string& host) {
  if (host == "*") return std::string("0.0.0.0");
  in_addr numeric{};
  if (host.starts_with('[') || inet_pton(AF_INET, host.c_str(), &numeric) == 1) return host;
  if (auto address = interface_host(host)) return *address;
  return resolve(host);
}

}  // namespace canopy::base
