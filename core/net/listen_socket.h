// Listening stream sockets: binding, and what the kernel tells of accepted peers.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/net/descriptor.h"
#include "core/net/stream_address.h"

namespace canopy::net {

// The address that a configuration calls "tcp://HOST:PORT" or "ipc://PATH". HOST is resolved as
// base::listening_host() does; PORT and PATH may be `*` for any free one.
base::Result<StreamAddress> parse_listen_address(const std::string& endpoint);

// A bound and listening socket that never blocks. While the address is held by a process that is
// going away, tries again until `patience` is over. A path is taken over only when no process
// answers on it any more, and never from a file that is no socket.
base::Result<Descriptor> listen_at(const StreamAddress& address, int backlog,
                                   std::chrono::milliseconds patience);

// "tcp://192.0.2.1:5550", "tcp://[::1]:5550" or "ipc:///run/canopy"; of a listening socket.
std::string endpoint_of(const Descriptor& socket);
// "192.0.2.1:4711" or "[::1]:4711"; `address` as inet_ntop(3) takes it.
std::string shown_address(int family, const void* address, std::uint16_t port);
// "192.0.2.1:4711", "[::1]:4711", or "local" for an ipc peer; of a connected one.
std::string peer_of(const Descriptor& socket);
// Of one end of a TCP connection: sends at once, and notices within a minute that the peer's
// machine has vanished.
void set_tcp_options(const Descriptor& socket);

}  // namespace canopy::net
