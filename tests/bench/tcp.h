// TCP sockets of 127.0.0.1. A failure ends the program with a message. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace canopy::bench {

[[noreturn]] void fail(std::string_view what);  // with errno, when set

int connect_to(std::uint16_t port);            // non-blocking, TCP_NODELAY
int listen_on_free_port(std::uint16_t& port);  // non-blocking
int accept_from(int listener);                 // non-blocking, TCP_NODELAY; -1: no connection waits
// The number of bytes that the kernel accepted.
std::size_t send_some(int socket, std::string_view data);

}  // namespace canopy::bench
