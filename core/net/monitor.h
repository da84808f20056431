// Watches the listener of one bound socket through libzmq's socket monitor: counts its connections,
// and is its doorkeeper.
//
// Belongs to the loop of its socket; must be drained (the loop does it), for an unread monitor
// blocks libzmq's I/O thread.
//
// The door: libzmq accepts whoever comes, and zmq_unbind would end every connection that the
// listener has accepted. But it accepts one connection for each readiness event of its epoll, so
// the doorkeeper re-registers the listening descriptor there as one-shot: each arm() lets exactly
// one connection in, and whoever is not let in waits in the kernel's accept queue, in order of
// arrival, costing neither descriptors nor CPU. Failing accepts (no descriptors left) cannot spin
// the I/O thread either. Until libzmq has registered its listener the door stands open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/net/socket.h"

namespace canopy::net {

class Monitor {
 public:
  struct Connection {
    int fd;  // libzmq's: to compare with Message::source_fd(), for nothing else
    base::TimePoint since;
    bool spoke = false;  // as said with mark_spoken()
  };

  // Before the socket is bound. `name` is unique within the process.
  Monitor(Context& context, Socket& socket, const std::string& name);

  Socket& socket() { return pair_; }
  // Reads the waiting events; true when connections came or went.
  bool drain(base::TimePoint now);
  // Accepted and not yet closed, oldest first; each holds one descriptor.
  const std::vector<Connection>& connections() const { return connections_; }
  void mark_spoken(int fd);

  // Lets the next connection in, or nobody. To be said again after each connection, and a few times
  // a second, for an accept that failed leaves the door shut. A door that was armed and has not yet
  // let anybody in is left as it is: a connection may be between libzmq's accept and its event.
  void arm(bool open, base::TimePoint now);

 private:
  // After this long without a connection an armed door is armed again.
  static constexpr base::Duration accept_patience = std::chrono::seconds(1);

  void find_registration();

  Socket pair_;
  Message message_;
  std::vector<Connection> connections_;
  int listener_ = -1;  // libzmq's descriptor; known once its event has been read
  int epoll_ = -1;     // libzmq's, in which the listener is registered
  std::uint64_t epoll_data_ = 0;
  enum class Door { as_libzmq_made_it, armed, shut } door_ = Door::as_libzmq_made_it;
  base::TimePoint armed_at_{};
};

}  // namespace canopy::net
