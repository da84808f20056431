// Lets a crowd in: several waiting connections in one go of libzmq's I/O thread, where a door
// (Monitor::arm) lets one in for each turn of the loop, which takes long when the machine is busy.
//
// A ticket is a descriptor that is always readable, registered in libzmq's epoll as one-shot and in
// the name of a listener: it makes libzmq accept once more. Nobody waiting, it has no effect.
// Belongs to the loop of its listener.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace canopy::net {

class Tickets {
 public:
  static constexpr std::size_t count = 8;  // descriptors

  Tickets() { fds_.fill(-1); }
  ~Tickets() { withdraw(); }
  Tickets(const Tickets&) = delete;
  Tickets& operator=(const Tickets&) = delete;

  // For the listener that is registered in `epoll` with this user data; always the same.
  void issue(int epoll, std::uint64_t listener);
  // Closes the descriptors. Must have been done before the listener goes away.
  void withdraw();

 private:
  std::array<int, count> fds_{};
};

}  // namespace canopy::net
