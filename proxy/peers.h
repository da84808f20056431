// The connections of one listener that have said something, where CURVE tells whose they are: their
// names, what they subscribed to, and whom a routing id belongs to, which is anybody's choice.
// Belongs to the node's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/net/monitor.h"
#include "core/net/socket.h"

namespace canopy::proxy {

class Peers {
 public:
  struct Peer {
    int fd = -1;
    std::string name{};
    std::set<std::string, std::less<>> topics{};
    std::string routing_id{};
  };

  // Whom a message came from; null when that connection is gone. `monitor` has been drained since.
  Peer* meet(const net::Message& message, const net::Monitor& monitor);
  // The sender of a request, whom answers to `routing_id` go to from now on. True when they did not
  // before: what another has asked for under this id is not to be sent to this one.
  bool takes_over(const std::string& routing_id, const net::Message& message,
                  const net::Monitor& monitor);
  // Whether he who asked under this routing id is still connected; likewise.
  bool stands(const std::string& routing_id, const net::Monitor& monitor) const;

  // Forgets the connections that are gone, each after a last call.
  void forget_gone(const net::Monitor& monitor, const std::function<void(const Peer&)>& gone);
  // Ends the connections of these clients.
  void cut(const std::vector<std::string>& names, const net::Monitor& monitor) const;

 private:
  std::map<std::uint64_t, Peer> by_number_;
  std::unordered_map<std::string, std::uint64_t> by_routing_id_;
};

}  // namespace canopy::proxy
