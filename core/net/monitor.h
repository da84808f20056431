// Watches the listener of one bound socket through libzmq's socket monitor: counts its connections,
// and is its doorkeeper.
//
// Belongs to the loop of its socket; must be drained (the loop does it), for an unread monitor
// blocks libzmq's I/O thread.
//
// The door: libzmq accepts whoever comes, and zmq_unbind would end every connection that the
// listener has accepted. But it accepts one connection for each readiness event of its epoll, so
// the doorkeeper re-registers the listening descriptor there as one-shot: each arm() lets one
// connection in (of a crowd some more, while there is ample room: tickets.h), and whoever is not
// let in waits in the kernel's accept queue, in order of arrival, costing neither descriptors nor
// CPU. Failing accepts (no descriptors left) cannot spin the I/O thread either. Until libzmq has
// registered its listener the door stands open.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "core/base/clock.h"
#include "core/net/socket.h"
#include "core/net/tickets.h"

namespace canopy::net {

class Monitor {
 public:
  struct Connection {
    base::TimePoint since;
    bool spoke = false;  // as said with mark_spoken()
    // What Context::let_in() said when it was found here: the number that the ZapHandler gives it
    // is above, those of the connections that had its descriptor before are not.
    std::uint64_t let_in_before = 0;
  };
  // Handshakes that failed in libzmq, before anybody's name was asked for.
  struct Failures {
    std::uint64_t no_key = 0;      // the peer speaks another mechanism: in the clear, for example
    std::uint64_t wrong_key = 0;   // it thinks that the server has another key
    std::uint64_t incomplete = 0;  // it fell silent, left, or speaks no ZMTP

    std::array<std::pair<const char*, std::uint64_t>, 3> by_reason() const {
      return {{{"no_key", no_key}, {"wrong_server_key", wrong_key}, {"incomplete", incomplete}}};
    }
  };

  // Before the socket is bound, and gone before the socket is. `name` is unique within the process.
  Monitor(Context& context, Socket& socket, const std::string& name);

  Socket& socket() { return pair_; }
  // Reads the waiting events; true when connections came or went.
  bool drain(base::TimePoint now);
  // Accepted and not yet closed, by libzmq's descriptor: to compare with Message::source_fd(), for
  // nothing else.
  const std::map<int, Connection>& connections() const { return connections_; }
  void mark_spoken(int fd);
  // Whether the connection of this number and descriptor stood when drain() was last called. If the
  // ZapHandler drains before it gives a number, and the caller since the message came, then libzmq
  // has not let go of it either.
  bool carries(int fd, std::uint64_t number) const;
  // Ends a connection that stands, by shutting its descriptor down, for libzmq has no call for it.
  // If libzmq closes it at this very moment the descriptor may be another's by then: who connects
  // anew.
  static void cut(int fd);
  // Since the last call.
  Failures take_failures() { return std::exchange(failures_, {}); }

  // From how much room of its own on a door lets a crowd in by several at a time. How many came is
  // known only afterwards: it may have let in a lot that is not known of yet, and be armed for
  // another. Such room has descriptors to spare, for tickets too.
  static constexpr std::uint64_t room_for_a_crowd = 4 * Tickets::count;

  // Lets the next connection in, or nobody when there is no room; of a crowd some more, while the
  // room is ample. To be said again after each connection, and a few times a second, for an accept
  // that failed leaves the door shut. A door that was armed and has not yet let anybody in is left
  // as it is: a connection may be between libzmq's accept and its event.
  void arm(std::uint64_t room, base::TimePoint now);

 private:
  // After this long without a connection an armed door is armed again.
  static constexpr base::Duration accept_patience = std::chrono::seconds(1);

  void find_registration();

  void count_failure(std::uint16_t event, std::int32_t value);

  const Context& context_;
  Socket pair_;
  Message message_;
  std::map<int, Connection> connections_;
  Failures failures_;
  int listener_ = -1;  // libzmq's descriptor; known once its event has been read
  int epoll_ = -1;     // libzmq's, in which the listener is registered
  std::uint64_t epoll_data_ = 0;
  enum class Door { as_libzmq_made_it, armed, shut } door_ = Door::as_libzmq_made_it;
  base::TimePoint armed_at_{};
  bool came_in_ = false;  // somebody, since it was last armed
  Tickets tickets_{};
  base::TimePoint issued_at_{};
};

}  // namespace canopy::net
