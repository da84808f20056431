// What a session asks of whoever runs it: from inside its calls, which may not be called back.
//
// All of it may be lost, for what matters is said again until it is answered.
#pragma once

#include <string>
#include <string_view>

namespace canopy::client {

// The native frontend of a proxy.
struct Target {
  std::string name{};
  std::string requests{};  // endpoints
  std::string streams{};

  bool operator==(const Target&) const = default;
};

class Network {
 public:
  virtual ~Network() = default;

  // Opens a link: DEALER to `requests`, SUB to `streams`. There is none when this is called.
  virtual void connect(const Target& target) = 0;
  // Ends the link; nothing that it still carries may reach the session.
  virtual void disconnect() = 0;
  // Of the link's SUB. Each topic is subscribed at most once at a time.
  virtual void subscribe(std::string_view topic) = 0;
  virtual void unsubscribe(std::string_view topic) = 0;
  // One frame over the link's DEALER.
  virtual void send(std::string frame) = 0;
  // One frame to a broker, over a DEALER made for it: an earlier one is closed.
  virtual void ask_broker(const std::string& endpoint, std::string frame) = 0;
  virtual void leave_broker() = 0;
};

}  // namespace canopy::client
