// Which sockets of which client are to be read: epoll over the descriptors of libzmq. Not
// thread-safe.
//
// Such a descriptor tells that a socket's state may have changed, and stays readable until it has
// been asked: whoever is called reads until nothing is left, or asks to be called again. So does
// whoever has sent, connected or subscribed, since that may swallow what the descriptor had to say.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace canopy::loadtest {

class Poll {
 public:
  struct Tag {
    std::uint32_t client = 0;
    std::uint32_t slot = 0;  // which of its sockets
  };

  Poll();
  ~Poll();
  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  void watch(int fd, Tag tag);
  void unwatch(int fd);
  // To be called at the next wait(), whatever the descriptor says.
  void again(Tag tag) { again_.push_back(tag); }
  // Calls `ready` for each, which may be for a socket that has been closed meanwhile.
  void wait(std::int64_t timeout_us, const std::function<void(Tag)>& ready);

 private:
  int epoll_;
  std::vector<Tag> again_;
};

}  // namespace canopy::loadtest
