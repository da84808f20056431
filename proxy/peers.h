// The connections of one listener that have sent something: who they are, and under which routing
// id libzmq answers them. Belongs to the node's loop.
//
// Whatever a connection asks for is tied to its number, not to its routing id, for a peer may
// choose any routing id, and bear one that an earlier connection had. libzmq itself gives a routing
// id to one connection at a time: a second peer that chose the same is not heard until the first
// connection has ended (router_handover is off). The monitor reports that end before libzmq gives
// the routing id away, since the I/O thread writes the event before the command that ends the pipe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/net/monitor.h"
#include "core/net/socket.h"

namespace canopy::proxy {

// The number of a connection, by which the proxy knows who asked; 0: nobody.
using PeerId = std::uint64_t;

class Peers {
 public:
  struct Peer {
    PeerId id = 0;
    int fd = -1;         // -1: not known of which connection
    std::string name{};  // with security
    std::set<std::string, std::less<>> topics{};
    std::string routing_id{};
    bool chose_routing_id = false;  // libzmq's own are never given twice
    net::Origin origin{};           // of a peer that chose its routing id
  };
  // Peers without a known connection that are remembered, since their ends are not reported: those
  // older than ZMTP 3, of which libzmq tells no descriptor, and the few whose descriptor is in
  // doubt.
  static constexpr std::size_t max_unplaced = 10'000;
  // A connection that has sent nothing for so long may have chosen a routing id that is in use.
  static constexpr base::Duration unheard = std::chrono::seconds(3);

  // `guarded`: the listener has security, and each message tells the number that the ZapHandler
  // gave its connection.
  Peers(bool guarded, net::Context& context) : guarded_(guarded), context_(context) {}

  // The connection that a message came over; null when it has ended. The monitor has been drained
  // since the message was received.
  Peer* meet(const net::Message& message, const net::Monitor& monitor);
  // The connection that a request came over, to a ROUTER; null when it has ended. `look` drains the
  // monitor and calls forget(); it is called for the first request of a connection, and for each of
  // one that chose its routing id.
  const Peer* meet_requester(const net::Message& message, net::Monitor& monitor,
                             const std::function<void()>& look);
  // Null when the connection has ended.
  const Peer* find(PeerId id) const;
  // No message waits at the socket, and the monitor has not been drained since that was found.
  void on_read_empty(net::Monitor& monitor);

  // Forgets connections that have ended, each after a last call.
  void forget(std::span<const PeerId> ended, const std::function<void(const Peer&)>& gone = {});
  // The connections forgotten since the last call: what they asked for has ended with them.
  std::vector<PeerId> take_ended() { return std::exchange(ended_, {}); }
  // Closes the connections of these clients.
  void cut(const std::vector<std::string>& names, net::Monitor& monitor) const;
  // Closes connections that libzmq does not let be heard because their routing id is in use. They
  // cannot be told from those that merely have nothing to say, so this is done only where some peer
  // chose a routing id. Returns how many were closed.
  // Called each second.
  std::size_t cut_unheard(net::Monitor& monitor, base::TimePoint now);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  // Of whom a message is whose descriptor several connections have had.
  enum class Sender { present, former, unknown };
  Sender sender(const net::Message& message, const net::Monitor::Connection& connection) const;
  const Peer* meet_unplaced(const net::Message& message);
  void bear(Peer& peer, const net::Message& message);

  bool guarded_;
  net::Context& context_;
  std::unordered_map<PeerId, Peer> by_id_;  // by_routing_id_ holds addresses
  std::unordered_map<std::string, Peer*, Hash, std::equal_to<>> by_routing_id_;
  std::deque<PeerId> unplaced_;  // oldest first
  bool old_peers_ = false;       // there was one older than ZMTP 3
  std::vector<PeerId> ended_;
  struct Former {
    std::string routing_id{};
    net::Origin origin{};
  };
  std::unordered_map<PeerId, Former> former_;  // that have just ended
  std::size_t choosers_ = 0;                   // peers that chose their routing id
  bool chosen_ = false;                        // by some peer, since cut_unheard()
  base::TimePoint last_chooser_{};             // when there was one
};

}  // namespace canopy::proxy
