// Messages between the parent process and one worker: lines of JSON over a socket pair.
// Not thread-safe.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

namespace canopy::loadtest {

class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  ~Channel();

  static std::pair<Channel, Channel> make();

  // Readable when receive() may return a message.
  int fd() const { return fd_; }
  // Waits at most 5 s for room in the socket's buffer; false when the other process does not read.
  bool send(const nlohmann::json& message);
  // The next complete message, if one has arrived; never waits.
  std::optional<nlohmann::json> receive();
  // The other process has closed its end, and receive() has returned all of its messages.
  bool closed() const { return closed_; }

 private:
  int fd_ = -1;
  std::string pending_;
  bool closed_ = false;
};

}  // namespace canopy::loadtest
