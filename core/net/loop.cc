#include "core/net/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
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

std::uint32_t to_epoll(Interest interest) {
  return (interest.readable ? std::uint32_t{EPOLLIN} : 0u) |
         (interest.writable ? std::uint32_t{EPOLLOUT} : 0u);
}

}  // namespace

Loop::Loop(const base::Clock& clock)
    : clock_(clock),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_ || !wake_) throw std::system_error(errno, std::generic_category(), "epoll");
  on_readable(wake_.get(), [this] { run_posted(); });
}

Loop::Source& Loop::add(std::unique_ptr<Source> source) {
  Source& added = *source;
  epoll_event event{.events = added.interest, .data = {.ptr = &added}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, added.fd, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
  sources_[added.fd] = std::move(source);
  return added;
}

void Loop::watch(int fd, EventHandler& handler, Interest interest) {
  add(std::make_unique<Source>(
      Source{.fd = fd, .watcher = &handler, .interest = to_epoll(interest)}));
}

void Loop::change(int fd, Interest interest) {
  const auto source = sources_.find(fd);
  assert(source != sources_.end());
  set_interest(*source->second, to_epoll(interest));
}

void Loop::on_readable(int fd, Handler handler) {
  add(std::make_unique<Source>(
      Source{.fd = fd, .handler = std::move(handler), .interest = EPOLLIN}));
}

// epoll reports EPOLLERR and EPOLLHUP whatever is asked for.
void Loop::on_hangup(int fd, Handler handler) {
  add(std::make_unique<Source>(Source{.fd = fd, .handler = std::move(handler)}));
}

// A removed source lives until the turn ends: handlers may remove themselves and each other.
void Loop::remove(int fd) {
  const auto found = sources_.find(fd);
  if (found == sources_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  found->second->removed = true;
  removed_.push_back(std::move(found->second));
  sources_.erase(found);
}

void Loop::set_interest(Source& source, std::uint32_t interest) {
  if (std::exchange(source.interest, interest) == interest) return;
  epoll_event event{.events = interest, .data = {.ptr = &source}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, source.fd, &event);
}

void Loop::post(Handler handler) {
  const std::lock_guard lock(mutex_);
  posted_.push_back(std::move(handler));
  if (posted_.size() == 1) eventfd_write(wake_.get(), 1);
}

void Loop::run_posted() {
  eventfd_t count = 0;
  eventfd_read(wake_.get(), &count);
  std::vector<Handler> posted;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  for (const Handler& handler : posted) handler();
}

Loop::FlushId Loop::on_flush(Handler handler) {
  flushes_.emplace(next_flush_, std::move(handler));
  return next_flush_++;
}

void Loop::remove_flush(FlushId id) { flushes_.erase(id); }

Loop::TimerId Loop::add(base::TimePoint due, Timer timer) {
  timers_.emplace(std::pair(due, next_timer_), std::move(timer));
  due_.emplace(next_timer_, due);
  return next_timer_++;
}

Loop::TimerId Loop::after(base::Duration delay, Handler handler) {
  return add(now() + delay, {.period = {}, .handler = std::move(handler)});
}

base::TimePoint Loop::next_period(base::TimePoint now, base::Duration period) {
  return now - now.time_since_epoch() % period + period;
}

Loop::TimerId Loop::every(base::Duration period, Handler handler) {
  assert(period.count() > 0);
  return add(next_period(now(), period), {.period = period, .handler = std::move(handler)});
}

void Loop::cancel(TimerId id) {
  if (const auto found = due_.extract(id)) timers_.erase({found.mapped(), id});
}

void Loop::make_ready(Source& source, std::uint32_t events) {
  source.events |= events;
  if (!std::exchange(source.ready, true)) ready_.push_back(&source);
}

void Loop::wait() {
  // epoll counts in milliseconds: round up, so that a timer never spins for its last fraction.
  int timeout = -1;
  if (!timers_.empty()) {
    const auto left = std::max(timers_.begin()->first.first - now(), base::Duration{0});
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left);
    timeout = static_cast<int>(std::min<std::int64_t>(ms.count(), longest_wait_ms));
  }
  std::array<epoll_event, events_per_turn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), events_per_turn, timeout);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    make_ready(*static_cast<Source*>(event.data.ptr), event.events);
  }
}

// What becomes ready meanwhile has its turn in the next.
void Loop::call_handlers() {
  constexpr std::uint32_t gone = EPOLLERR | EPOLLHUP;
  for (Source* source : std::exchange(ready_, {})) {
    source->ready = false;
    const std::uint32_t events = std::exchange(source->events, 0);
    if (source->removed || !running_) continue;
    if (source->watcher == nullptr) {
      source->handler();
    } else {
      source->watcher->on_events((events & (EPOLLIN | gone)) != 0,
                                 (events & (EPOLLOUT | gone)) != 0);
    }
  }
}

void Loop::run_timers() {
  const base::TimePoint due = now();
  while (!timers_.empty() && timers_.begin()->first.first <= due && running_) {
    auto node = timers_.extract(timers_.begin());
    const TimerId id = node.key().second;
    const Timer timer = node.mapped();
    if (timer.period.count() > 0) {
      // A late timer does not make up for the periods it missed, and runs once a turn at most.
      node.key().first = due_[id] = next_period(due, timer.period);
      timers_.insert(std::move(node));
    } else {
      due_.erase(id);
    }
    timer.handler();
  }
}

void Loop::flush() {
  for (const auto& [id, handler] : flushes_) handler();
  removed_.clear();
}

void Loop::run() {
  running_ = true;
  while (running_) {
    wait();
    call_handlers();
    run_timers();
    if (turn_end_) turn_end_();
    flush();
  }
}

}  // namespace canopy::net
