// Messages between the harness and one of its workers: lines of JSON over a socket pair.
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

  // The two ends.
  static std::pair<Channel, Channel> make();

  // Becomes readable when receive() may have something.
  int fd() const { return fd_; }
  // Waits for the reader, who always reads, at most a few seconds; false when it is gone.
  bool send(const nlohmann::json& message);
  // The next whole message, if one has arrived; never waits.
  std::optional<nlohmann::json> receive();
  // The other end is gone and everything it said has been received.
  bool closed() const { return closed_; }

 private:
  int fd_ = -1;
  std::string pending_;
  bool closed_ = false;
};

}  // namespace canopy::loadtest
