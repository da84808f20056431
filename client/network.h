// The connections that a session needs from its runner. The session calls them from its own thread;
// an implementation must not call the session from inside. A frame may be lost: the session repeats
// requests until they are answered.
#pragma once

#include <string>

namespace canopy::client {

// A proxy that speaks the native protocol.
struct Target {
  std::string name{};
  std::string endpoint{};  // tcp://HOST:PORT

  bool operator==(const Target&) const = default;
};

class Network {
 public:
  virtual ~Network() = default;

  // Opens the connection to a proxy; there is none when this is called. When it breaks or cannot be
  // made, the runner calls Session::on_disconnected().
  virtual void connect(const Target& target) = 0;
  // Ends the connection; frames that still arrive on it must not reach the session.
  virtual void disconnect() = 0;
  // One frame over it.
  virtual void send(std::string frame) = 0;
  // One frame to a broker, over a connection made for it: an earlier one is closed.
  virtual void ask_broker(const std::string& endpoint, std::string frame) = 0;
  virtual void leave_broker() = 0;
};

}  // namespace canopy::client
