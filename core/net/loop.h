// A single-threaded event loop over zmq::poll: sockets, descriptors, timers.
//
// One turn: wait, call the handlers of what is readable, run the timers that are due, then the
// end-of-turn hook. A handler reads what waits up to its own budget; what it leaves is found
// readable in the next turn.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "core/base/clock.h"
#include "core/net/socket.h"

namespace canopy::net {

class Loop {
 public:
  using Handler = std::function<void()>;
  using TimerId = unsigned long;

  explicit Loop(const base::Clock& clock) : clock_(clock) {}

  void on_readable(Socket& socket, Handler handler);
  void on_readable(int fd, Handler handler);
  void remove(Socket& socket);
  void remove(int fd);

  TimerId after(base::Duration delay, Handler handler);
  TimerId every(base::Duration period, Handler handler);
  void cancel(TimerId id);

  // Called once at the end of each turn.
  void on_turn_end(Handler handler) { turn_end_ = std::move(handler); }

  base::TimePoint now() const { return clock_.now(); }

  // Until stop().
  void run();
  void stop() { running_ = false; }

 private:
  struct Source {
    void* zmq_handle;  // null for a plain descriptor
    int fd;
    Handler handler;
  };
  struct Timer {
    TimerId id;
    base::Duration period;  // zero: once
    Handler handler;
  };

  void rebuild();
  void wait();
  void run_timers();
  void remove_if_matches(void* zmq_handle, int fd);

  const base::Clock& clock_;
  std::vector<Source> sources_;
  std::vector<zmq::pollitem_t> items_;
  bool dirty_ = true;
  std::multimap<base::TimePoint, Timer> timers_;
  TimerId next_timer_ = 1;
  Handler turn_end_;
  bool running_ = false;
};

}  // namespace canopy::net
