#include "core/net/loop.h"

#include <algorithm>
#include <cassert>

namespace canopy::net {

void Loop::on_readable(Socket& socket, Handler handler) {
  sources_.push_back({socket.ref().handle(), 0, std::move(handler)});
  dirty_ = true;
}

void Loop::on_readable(int fd, Handler handler) {
  sources_.push_back({nullptr, fd, std::move(handler)});
  dirty_ = true;
}

void Loop::remove(Socket& socket) { remove_if_matches(socket.ref().handle(), 0); }

void Loop::remove(int fd) { remove_if_matches(nullptr, fd); }

// A removed source stays in place, without a handler, until the turn is over: handlers may remove
// themselves and each other.
void Loop::remove_if_matches(void* zmq_handle, int fd) {
  for (Source& source : sources_) {
    if (source.zmq_handle == zmq_handle && source.fd == fd) source.handler = nullptr;
  }
  dirty_ = true;
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

void Loop::rebuild() {
  std::erase_if(sources_, [](const Source& source) { return !source.handler; });
  items_.clear();
  for (const Source& source : sources_) {
    items_.push_back({source.zmq_handle, source.fd, ZMQ_POLLIN, 0});
  }
  dirty_ = false;
}

void Loop::wait() {
  // zmq_poll counts in milliseconds: round up, so that a timer never spins for its last fraction.
  std::chrono::milliseconds timeout{-1};
  if (!timers_.empty()) {
    const auto left = std::max(timers_.begin()->first - now(), base::Duration{0});
    timeout = std::chrono::duration_cast<std::chrono::milliseconds>(left + base::Duration(999));
  }
  try {
    zmq::poll(items_, timeout);
  } catch (const zmq::error_t& error) {
    if (error.num() != EINTR) throw;
    for (auto& item : items_) item.revents = 0;
  }
}

void Loop::run_timers() {
  const base::TimePoint due = now();
  while (!timers_.empty() && timers_.begin()->first <= due && running_) {
    auto node = timers_.extract(timers_.begin());
    Timer& timer = node.mapped();
    const Handler handler = timer.handler;
    if (timer.period.count() > 0) {
      // A late timer does not make up for the periods it missed.
      node.key() = std::max(node.key() + timer.period, due);
      timers_.insert(std::move(node));
    }
    handler();
  }
}

void Loop::run() {
  running_ = true;
  while (running_) {
    if (dirty_) rebuild();
    wait();
    for (std::size_t i = 0; i < items_.size() && running_; ++i) {
      // Handlers may add sources, which can move them: call a copy.
      if (items_[i].revents == 0 || !sources_[i].handler) continue;
      const Handler handler = sources_[i].handler;
      handler();
    }
    run_timers();
    if (turn_end_) turn_end_();
  }
}

}  // namespace canopy::net
