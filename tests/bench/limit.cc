// The lower bound of a fan-out's cost: gathers updates for 10 ms or 16 KiB and sends each batch to
// every subscriber with one send(). It has no protocol, no parsing and no state.
//
// Prints {"publish": PORT, "subscribe": PORT}; ends with its standard input.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/tcp.h"

namespace canopy::bench {
namespace {

constexpr long window_ns = 10'000'000;
constexpr std::size_t flush_bytes = 16 * 1024;

class Limit {
 public:
  Limit()
      : poll_(epoll_create1(EPOLL_CLOEXEC)),
        publish_(listen_on_free_port(publish_port_)),
        subscribe_(listen_on_free_port(subscribe_port_)),
        timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
        buffer_(256 * 1024) {
    watch(EPOLL_CTL_ADD, publish_, EPOLLIN);
    watch(EPOLL_CTL_ADD, subscribe_, EPOLLIN);
    watch(EPOLL_CTL_ADD, timer_, EPOLLIN);
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN);
  }

  void run() {
    std::printf("{\"publish\": %u, \"subscribe\": %u}\n", publish_port_, subscribe_port_);
    std::fflush(stdout);
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = epoll_wait(poll_, events.data(), events.size(), -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const int file = events[static_cast<std::size_t>(i)].data.fd;
        if (file == STDIN_FILENO) return;
        on_ready(file);
      }
    }
  }

 private:
  // Data still to be sent to a subscriber: shared blocks, of the first those from `done`.
  struct Subscriber {
    std::deque<std::shared_ptr<const std::string>> blocks{};
    std::size_t done = 0;
  };

  void watch(int operation, int file, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.fd = file;
    if (epoll_ctl(poll_, operation, file, &event) < 0) fail("epoll_ctl");
  }

  void on_ready(int file) {
    if (file == publish_ || file == subscribe_) {
      for (int made = accept_from(file); made >= 0; made = accept_from(file)) {
        watch(EPOLL_CTL_ADD, made, EPOLLIN);
        if (file == subscribe_) subscribers_.try_emplace(made);
      }
    } else if (file == timer_) {
      std::uint64_t ignored = 0;
      if (read(timer_, &ignored, sizeof(ignored)) > 0) fan_out();
    } else if (const auto found = subscribers_.find(file); found != subscribers_.end()) {
      if (!drain(found->first, found->second)) {
        subscribers_.erase(found);
        close(file);
      }
    } else {
      gather(file);
    }
  }

  void gather(int publisher) {
    const ssize_t got = recv(publisher, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      close(publisher);
      return;
    }
    const bool first = gathered_.empty();
    gathered_.append(buffer_.data(), static_cast<std::size_t>(got));
    if (gathered_.size() >= flush_bytes) {
      set_timer(0);
      fan_out();
    } else if (first) {
      set_timer(window_ns);
    }
  }

  void set_timer(long in_ns) {
    itimerspec at{};
    at.it_value.tv_nsec = in_ns;
    if (timerfd_settime(timer_, 0, &at, nullptr) < 0) fail("timerfd_settime");
  }

  void fan_out() {
    if (gathered_.empty()) return;
    const auto block = std::make_shared<const std::string>(std::move(gathered_));
    gathered_ = {};
    for (auto& [socket, subscriber] : subscribers_) {
      if (!subscriber.blocks.empty()) {
        subscriber.blocks.push_back(block);
        continue;
      }
      const ssize_t sent = send(socket, block->data(), block->size(), MSG_NOSIGNAL);
      const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
      if (done == block->size()) continue;
      subscriber.blocks.push_back(block);
      subscriber.done = done;
      watch(EPOLL_CTL_MOD, socket, EPOLLIN | EPOLLOUT);
    }
  }

  // False when the subscriber has disconnected.
  bool drain(int socket, Subscriber& subscriber) {
    while (!subscriber.blocks.empty()) {
      const std::string& block = *subscriber.blocks.front();
      const ssize_t sent = send(socket, block.data() + subscriber.done,
                                block.size() - subscriber.done, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN || errno == EINTR;
      subscriber.done += static_cast<std::size_t>(sent);
      if (subscriber.done < block.size()) continue;
      subscriber.blocks.pop_front();
      subscriber.done = 0;
    }
    char ignored = 0;
    if (recv(socket, &ignored, 1, MSG_DONTWAIT) == 0) return false;
    watch(EPOLL_CTL_MOD, socket, EPOLLIN);
    return true;
  }

  int poll_;
  std::uint16_t publish_port_ = 0, subscribe_port_ = 0;
  int publish_, subscribe_, timer_;
  std::vector<char> buffer_;
  std::string gathered_{};
  std::map<int, Subscriber> subscribers_{};
};

}  // namespace
}  // namespace canopy::bench

int main() { canopy::bench::Limit().run(); }
