// Whole messages through a socket of libzmq, the peer that the tests talk to.
#pragma once

#include <string>
#include <vector>
#include <zmq.hpp>

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

}  // namespace canopy::zmtp
