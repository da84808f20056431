#include "core/net/tickets.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace canopy::net {

void Tickets::issue(int epoll, std::uint64_t listener) {
  epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = listener}};
  for (int& fd : fds_) {
    if (fd >= 0) {
      epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
      continue;
    }
    fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return;  // no descriptors left: they come in one by one
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

void Tickets::withdraw() {
  for (int& fd : fds_) {
    if (fd >= 0) close(std::exchange(fd, -1));
  }
}

}  // namespace canopy::net
