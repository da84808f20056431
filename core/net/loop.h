// A single-threaded event loop over epoll(7): descriptors, timers, and calls from other threads.
//
// One turn: wait; read: the handlers of what is ready; timers that are due; work: the
// end-of-turn hook; flush: what was queued in the turn is sent, and what was closed is freed. A
// handler reads what waits up to its own budget; what it leaves is found ready in the next turn.
// The cost of a turn grows with ready descriptors, not with watched ones.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/net/descriptor.h"

namespace canopy::net {

// What a descriptor is watched for. With neither, errors and hang-ups are still reported, as both.
struct Interest {
  bool readable = false;
  bool writable = false;

  bool operator==(const Interest&) const = default;
};

// Owns a watched descriptor, and outlives its being watched.
class EventHandler {
 public:
  virtual ~EventHandler() = default;
  virtual void on_events(bool readable, bool writable) = 0;
};

class Loop {
 public:
  using Handler = std::function<void()>;
  using TimerId = unsigned long;
  using FlushId = unsigned long;

  explicit Loop(const base::Clock& clock);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // A handler may watch and unwatch any descriptor, its own included.
  void watch(int fd, EventHandler& handler, Interest interest);
  void change(int fd, Interest interest);
  void unwatch(int fd) { remove(fd); }

  // Of a pipe, a socket or the like: the kernel has no readiness of regular files.
  void on_readable(int fd, Handler handler);
  // When the other end of a pipe, socket or terminal is gone; again in each turn until it is
  // removed. What can be read or written is no reason.
  void on_hangup(int fd, Handler handler);
  void remove(int fd);

  TimerId after(base::Duration delay, Handler handler);
  // Periods begin at multiples of their length: what has the same period, or a multiple, is due in
  // the same turns, and the process wakes once for every such timer.
  static base::TimePoint next_period(base::TimePoint now, base::Duration period);
  TimerId every(base::Duration period, Handler handler);
  void cancel(TimerId id);

  // Runs `handler` on the loop's thread, in the next turn. From any thread, as long as the loop
  // exists; calls of one thread keep their order.
  void post(Handler handler);

  // Called once a turn, after the timers.
  void on_turn_end(Handler handler) { turn_end_ = std::move(handler); }
  // Called once a turn, after that, in the order of these calls.
  FlushId on_flush(Handler handler);
  void remove_flush(FlushId id);

  base::TimePoint now() const { return clock_.now(); }

  // Until stop().
  void run();
  void stop() { running_ = false; }

 private:
  struct Source {
    int fd = -1;
    EventHandler* watcher = nullptr;  // else `handler`
    Handler handler{};
    std::uint32_t interest = 0;  // as registered with epoll
    std::uint32_t events = 0;    // as epoll reported, in this turn
    bool ready = false;          // in ready_
    bool removed = false;
  };
  struct Timer {
    base::Duration period;  // zero: once
    Handler handler;
  };

  Source& add(std::unique_ptr<Source> source);
  TimerId add(base::TimePoint due, Timer timer);
  void set_interest(Source& source, std::uint32_t interest);
  void make_ready(Source& source, std::uint32_t events);
  void wait();
  void call_handlers();
  void run_timers();
  void run_posted();
  void flush();

  const base::Clock& clock_;
  Descriptor epoll_;
  Descriptor wake_;                                           // an eventfd: something was posted
  std::unordered_map<int, std::unique_ptr<Source>> sources_;  // epoll holds their addresses
  std::vector<Source*> ready_;
  std::vector<std::unique_ptr<Source>> removed_;  // in this turn: handlers may be running
  std::map<std::pair<base::TimePoint, TimerId>, Timer> timers_;
  std::unordered_map<TimerId, base::TimePoint> due_;  // of timers_
  TimerId next_timer_ = 1;
  Handler turn_end_;
  std::map<FlushId, Handler> flushes_;
  FlushId next_flush_ = 1;
  std::mutex mutex_;  // guards posted_
  std::vector<Handler> posted_;
  bool running_ = false;
};

}  // namespace canopy::net
