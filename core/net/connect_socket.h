// Connecting stream sockets, and the names of hosts that they connect to.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <vector>

#include "core/net/descriptor.h"
#include "core/net/loop.h"
#include "core/net/stream_address.h"

namespace canopy::net {

// As connect(2) takes it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Of a path or a numeric host; none: the host is a name, or the path too long.
std::vector<SocketAddress> numeric_addresses(const StreamAddress& address);

// Asks the system's resolver for a name, which may take many seconds, on a thread of its own.
class Lookup {
 public:
  // From the loop. None: there is no such host, or it cannot be told now.
  using Found = std::function<void(std::vector<SocketAddress> addresses)>;

  Lookup(Loop& loop, const StreamAddress& address, Found found);
  // The resolver is not waited for, and `found` not called any more.
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  struct Shared;

  Loop& loop_;
  std::shared_ptr<Shared> shared_;
};

// A socket that never blocks and is connected, or is about to: it is writable then, and
// is_connected() tells how it went. Without a descriptor: it cannot be (errno).
// `receive_buffer_bytes` of the kernel; 0: its default.
Descriptor begin_connect(const SocketAddress& address, int receive_buffer_bytes);
// False also of a TCP socket that has met itself, as happens at a free port of this machine.
bool is_connected(const Descriptor& socket);

}  // namespace canopy::net
