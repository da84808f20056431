#include "core/net/connect_socket.h"

#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/net/listen_socket.h"

namespace canopy::net {
namespace {

std::vector<SocketAddress> resolve(std::string host, std::uint16_t port, int flags) {
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    address.size = each->ai_addrlen;
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
  }
  return addresses;
}

std::vector<SocketAddress> ipc_address(const std::string& path) {
  SocketAddress address;
  auto& local = reinterpret_cast<sockaddr_un&>(address.storage);
  if (path.size() >= sizeof local.sun_path) return {};
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.c_str(), path.size() + 1);
  address.size = sizeof local;
  if (path.front() == '@') {  // of the abstract namespace (unix(7))
    local.sun_path[0] = '\0';
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  }
  return {address};
}

}  // namespace

std::vector<SocketAddress> numeric_addresses(const StreamAddress& address) {
  return address.ipc() ? ipc_address(address.path)
                       : resolve(address.host, address.port, AI_NUMERICHOST);
}

struct Lookup::Shared {
  Descriptor done{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;  // guards found
  std::vector<SocketAddress> found;
};

Lookup::Lookup(Loop& loop, const StreamAddress& address, Found found)
    : loop_(loop), shared_(std::make_shared<Shared>()) {
  if (!shared_->done) throw std::system_error(errno, std::generic_category(), "eventfd");
  loop_.on_readable(shared_->done.get(), [this, found = std::move(found)] {
    loop_.remove(shared_->done.get());
    std::vector<SocketAddress> addresses;
    {
      const std::lock_guard lock(shared_->mutex);
      addresses.swap(shared_->found);
    }
    found(std::move(addresses));  // the last thing: it may end the lookup
  });
  const auto ask = [shared = shared_, address] {
    auto addresses = resolve(address.host, address.port, AI_ADDRCONFIG);
    {
      const std::lock_guard lock(shared->mutex);
      shared->found = std::move(addresses);
    }
    eventfd_write(shared->done.get(), 1);
  };
  try {
    std::thread(ask).detach();
  } catch (const std::system_error&) {  // no thread to be had: nothing is found
    eventfd_write(shared_->done.get(), 1);
  }
}

Lookup::~Lookup() { loop_.remove(shared_->done.get()); }

Descriptor begin_connect(const SocketAddress& address, int receive_buffer_bytes) {
  Descriptor made(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made) return {};
  if (receive_buffer_bytes > 0) {  // before connecting, or it comes too late for TCP's window
    setsockopt(made.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
               sizeof receive_buffer_bytes);
  }
  if (address.storage.ss_family != AF_UNIX) set_tcp_options(made);
  if (connect(made.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) return {};
  return made;
}

bool is_connected(const Descriptor& socket) {
  int fault = 0;
  socklen_t size = sizeof fault;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &fault, &size) != 0 || fault != 0) {
    return false;
  }
  const std::string peer = peer_of(socket);
  return peer == "local" ||
         (!peer.empty() && endpoint_of(socket) != std::string(tcp_scheme) + peer);
}

}  // namespace canopy::net
