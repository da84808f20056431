// Watches the listener of one bound socket through libzmq's socket monitor: numbers its
// connections, counts why they are closed, and is its doorkeeper.
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
#include <vector>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/socket.h"
#include "core/net/tickets.h"

namespace canopy::net {

class Monitor {
 public:
  struct Connection {
    std::uint64_t number = 0;  // Context::next_connection()
    base::TimePoint since;
    std::string address{};  // the peer's; empty over ipc://, or when it was gone at once
    bool spoke = false;     // as said with mark_spoken()
    // What Context::let_in() said when it was found here: the number that the ZapHandler gives it
    // is above, those of the connections that had its descriptor before are not.
    std::uint64_t let_in_before = 0;
    // The numbers of earlier connections that had this descriptor, and whose messages may still
    // wait to be read: a message with this descriptor may be of any of them.
    std::vector<std::uint64_t> after{};
    bool sent_bytes = false;  // as cut_silent() found
    bool cut = false;
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

  // Before the socket is bound, and gone before the socket is. `name` is for the log.
  Monitor(Context& context, Socket& socket, const std::string& name);

  Socket& socket() { return pair_; }
  // Reads the waiting events; true when connections came or went.
  bool drain(base::TimePoint now);
  // Accepted and not yet closed, by libzmq's descriptor: to compare with Message::source_fd(), for
  // nothing else.
  const std::map<int, Connection>& connections() const { return connections_; }
  // The connection with this descriptor; null when there is none. libzmq writes the event of a new
  // connection before it reads from it. So a message that was received before drain() was called
  // came over this connection, or over an earlier one with the same descriptor.
  const Connection* find(int fd) const;
  // The numbers of the connections that ended since the last call.
  std::vector<std::uint64_t> take_ended() { return std::exchange(ended_, {}); }
  // The caller has found that no message waits at the socket, and has not called drain() since.
  void on_read_empty();
  // Whether a connection has ended since on_read_empty().
  bool expects_read_empty() const { return !ended_descriptors_.empty(); }
  void mark_spoken(int fd);
  // Whether the connection of this number and descriptor stood when drain() was last called. If the
  // ZapHandler drains before it gives a number, and the caller since the message came, then libzmq
  // has not let go of it either.
  bool carries(int fd, std::uint64_t number) const;
  // Closes a connection that stands, by shutting its descriptor down, for libzmq has no call for
  // it; counts and logs the reason, a word for the metric. If libzmq closes it at this very moment
  // the descriptor may be another connection's by then: that peer connects anew.
  void cut(int fd, const char* reason);
  // The same for the sender of a message.
  void cut(const Message& message, const char* reason) { cut(message.source_fd(), reason); }
  // Closes the TCP connections whose peer has not sent a byte `patience` after it came, for a
  // socket whose own timer for handshakes is longer. Counted as "handshake".
  void cut_silent(base::Duration patience, base::TimePoint now);
  // How many connections were closed for each reason since the last call: those of cut(), and
  // "handshake".
  std::map<std::string, std::uint64_t> take_closed() { return std::exchange(closed_, {}); }
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

  void accept(int fd, base::TimePoint now);
  void end(int fd);
  void count_failure(std::uint16_t event, std::int32_t value);
  void count_closed(const char* reason, const std::string& address);

  Context& context_;
  std::string name_;
  Socket pair_;
  Message message_;
  std::map<int, Connection> connections_;
  std::vector<std::uint64_t> ended_;
  std::map<int, std::vector<std::uint64_t>> ended_descriptors_;  // numbers, since on_read_empty()
  Failures failures_;
  std::map<std::string, std::uint64_t> closed_;
  base::log::RateLimited log_;
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
