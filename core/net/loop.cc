#include "core/net/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

namespace canopy::net {
namespace {

constexpr int events_per_turn = 256;  // the rest are found in the next turn
constexpr std::int64_t longest_wait_ms = 3'600'000;

}  // namespace

Loop::Loop(const base::Clock& clock) : clock_(clock), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

Loop::~Loop() { close(epoll_); }

void Loop::on_readable(Socket& socket, Handler handler) {
  add(&socket, socket.fd(), EPOLLIN, std::move(handler));
}

void Loop::on_readable(int fd, Handler handler) { add(nullptr, fd, EPOLLIN, std::move(handler)); }

// epoll reports EPOLLERR and EPOLLHUP whatever is asked for.
void Loop::on_hangup(int fd, Handler handler) { add(nullptr, fd, 0, std::move(handler)); }

void Loop::add(Socket* socket, int fd, std::uint32_t events, Handler handler) {
  auto source = std::make_unique<Source>(Source{socket, fd, std::move(handler)});
  epoll_event event{.events = events, .data = {.ptr = source.get()}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
  sources_.push_back(std::move(source));
}

void Loop::remove(Socket& socket) { remove(socket.fd()); }

// A removed source stays in place until the next turn: handlers may remove themselves and each
// other.
void Loop::remove(int fd) {
  for (const auto& source : sources_) {
    if (source->removed || source->fd != fd) continue;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    source->removed = true;
    swept_ = false;
  }
}

// A paused socket that was used keeps saying so, and is asked first thing after resume(); of one
// that was not, the descriptor still tells.
void Loop::set_paused(Socket& socket, bool paused) {
  for (const auto& source : sources_) {
    if (source->socket != &socket || source->removed || source->paused == paused) continue;
    source->paused = paused;
    epoll_event event{.events = paused ? 0U : EPOLLIN, .data = {.ptr = source.get()}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, source->fd, &event);
  }
}

Loop::TimerId Loop::after(base::Duration delay, Handler handler) {
  timers_.emplace(now() + delay, Timer{next_timer_, {}, std::move(handler)});
  return next_timer_++;
}

Loop::TimerId Loop::every(base::Duration period, Handler handler) {
  assert(period.count() > 0);
  timers_.emplace(now() + period, Timer{next_timer_, period, std::move(handler)});
  return next_timer_++;
}

void Loop::cancel(TimerId id) {
  std::erase_if(timers_, [id](const auto& entry) { return entry.second.id == id; });
}

void Loop::sweep() {
  std::erase_if(sources_, [](const auto& source) { return source->removed; });
  swept_ = true;
}

// Of sockets that were used since they were last asked, the descriptor may not tell that they are
// readable, or can send again. True when one is or can.
bool Loop::ask_used_sockets() {
  bool any = false;
  for (const auto& source : sources_) {
    if (source->socket == nullptr || source->paused || !source->socket->used()) continue;
    source->ready = source->socket->readable();
    any |= source->ready || source->socket->take_unblocked();
  }
  return any;
}

void Loop::wait() {
  // epoll counts in milliseconds: round up, so that a timer never spins for its last fraction.
  int timeout = -1;
  if (ask_used_sockets()) {
    timeout = 0;
  } else if (!timers_.empty()) {
    const auto left = std::max(timers_.begin()->first - now(), base::Duration{0});
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left);
    timeout = static_cast<int>(std::min<std::int64_t>(ms.count(), longest_wait_ms));
  }
  std::array<epoll_event, events_per_turn> events;
  const int count = epoll_wait(epoll_, events.data(), events_per_turn, timeout);
  for (int i = 0; i < count; ++i) {
    auto& source = *static_cast<Source*>(events[static_cast<std::size_t>(i)].data.ptr);
    source.ready = !source.paused && (source.socket == nullptr || source.socket->readable());
  }
}

// Handlers may add sources, which can move the list, not the sources; new ones have their first
// turn in the next.
void Loop::call_handlers() {
  const std::size_t count = sources_.size();
  for (std::size_t i = 0; i < count && running_; ++i) {
    Source& source = *sources_[i];
    if (std::exchange(source.ready, false) && !source.removed && !source.paused) source.handler();
  }
}

void Loop::run_timers() {
  const base::TimePoint due = now();
  while (!timers_.empty() && timers_.begin()->first <= due && running_) {
    auto node = timers_.extract(timers_.begin());
    Timer& timer = node.mapped();
    const Handler handler = timer.handler;
    if (timer.period.count() > 0) {
      // A late timer does not make up for the periods it missed, and runs once a turn at most.
      const base::TimePoint next = node.key() + timer.period;
      node.key() = next > due ? next : due + timer.period;
      timers_.insert(std::move(node));
    }
    handler();
  }
}

void Loop::run() {
  running_ = true;
  while (running_) {
    if (!swept_) sweep();
    wait();
    call_handlers();
    run_timers();
    if (turn_end_) turn_end_();
  }
}

}  // namespace canopy::net
