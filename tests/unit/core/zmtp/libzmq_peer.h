// Whole messages through a socket of libzmq, the peer that the tests talk to.
#pragma once

#include <optional>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "core/access/keys.h"

namespace canopy::zmtp {

using Parts = std::vector<std::string>;

inline void send(zmq::socket_t& socket, const Parts& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    socket.send(zmq::buffer(parts[i]),
                i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
}

// Empty: none came within the socket's `rcvtimeo`.
inline Parts receive(zmq::socket_t& socket) {
  Parts parts;
  zmq::message_t part;
  do {
    if (!socket.recv(part)) break;
    parts.push_back(part.to_string());
  } while (part.more());
  return parts;
}

struct DealerOptions {
  int receive_hwm = 1000;
  int reconnect_ms = 100;
  std::string routing_id{};
  std::optional<access::ClientKeys> keys{};
};

// Whose receive() does not wait.
inline zmq::socket_t make_dealer(zmq::context_t& context, const std::string& endpoint,
                                 const DealerOptions& options = {}) {
  namespace opt = zmq::sockopt;
  zmq::socket_t made(context, zmq::socket_type::dealer);
  made.set(opt::linger, 0);
  made.set(opt::rcvtimeo, 0);
  made.set(opt::rcvhwm, options.receive_hwm);
  made.set(opt::reconnect_ivl, options.reconnect_ms);
  if (!options.routing_id.empty()) made.set(opt::routing_id, options.routing_id);
  if (options.keys) {
    made.set(opt::curve_serverkey, options.keys->server_key);
    made.set(opt::curve_publickey, options.keys->own.public_key);
    made.set(opt::curve_secretkey, options.keys->own.secret_key);
  }
  made.connect(endpoint);
  return made;
}

}  // namespace canopy::zmtp
