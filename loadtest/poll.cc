#include "loadtest/poll.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace canopy::loadtest {

Poll::Poll() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

Poll::~Poll() { close(epoll_); }

void Poll::watch(int fd, Tag tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = (std::uint64_t{tag.slot} << 32) | tag.client;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
}

void Poll::unwatch(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

void Poll::wait(std::int64_t timeout_us, const std::function<void(Tag)>& ready) {
  if (!again_.empty()) timeout_us = 0;
  std::array<epoll_event, 256> events;
  const int count =
      epoll_wait(epoll_, events.data(), events.size(), static_cast<int>((timeout_us + 999) / 1000));
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    ready({static_cast<std::uint32_t>(data), static_cast<std::uint32_t>(data >> 32)});
  }
  for (const Tag tag : std::exchange(again_, {})) ready(tag);
}

}  // namespace canopy::loadtest
