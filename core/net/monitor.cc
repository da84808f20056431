#include "core/net/monitor.h"

#include <cstring>

namespace canopy::net {

Monitor::Monitor(Context& context, Socket& socket, const std::string& name)
    : pair_(context, SocketType::pair, {.receive_hwm = 0}) {
  const std::string endpoint = "inproc://monitor/" + name;
  const int rc = zmq_socket_monitor(socket.ref().handle(), endpoint.c_str(),
                                    ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED);
  if (rc != 0) throw zmq::error_t();
  if (const auto status = pair_.connect(endpoint); !status) throw zmq::error_t();
}

bool Monitor::drain() {
  const int before = connections_;
  // An event is two frames: number (16 bits) and value (32 bits), then the endpoint.
  while (pair_.receive(message_)) {
    if (message_.size() == 0 || message_[0].size() < sizeof(std::uint16_t)) continue;
    std::uint16_t event = 0;
    std::memcpy(&event, message_[0].data(), sizeof event);
    connections_ += event == ZMQ_EVENT_ACCEPTED ? 1 : -1;
  }
  return connections_ != before;
}

}  // namespace canopy::net
