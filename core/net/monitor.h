// Counts the connections of one listening socket through libzmq's socket monitor.
// Belongs to the loop of its socket; must be drained (the loop does it), for an unread monitor
// blocks libzmq's I/O thread.
#pragma once

#include <string>

#include "core/net/socket.h"

namespace canopy::net {

class Monitor {
 public:
  // `name` is unique within the process.
  Monitor(Context& context, Socket& socket, const std::string& name);

  Socket& socket() { return pair_; }
  // Reads the waiting events; true when the number of connections changed.
  bool drain();
  // Accepted and not yet closed connections; each holds one descriptor.
  int connections() const { return connections_; }

 private:
  Socket pair_;
  Message message_;
  int connections_ = 0;
};

}  // namespace canopy::net
