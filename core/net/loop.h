// A single-threaded event loop over epoll(7): sockets, descriptors, timers.
//
// One turn: wait, call the handlers of what is readable, run the timers that are due, then the
// end-of-turn hook. A handler reads what waits up to its own budget; what it leaves is found
// readable in the next turn.
//
// A turn costs what it finds, not what it watches: zmq_poll asks every socket for its events, each
// time with a system call, where the loop asks only those that spoke up or were used.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/base/clock.h"
#include "core/net/socket.h"

namespace canopy::net {

class Loop {
 public:
  using Handler = std::function<void()>;
  using TimerId = unsigned long;

  explicit Loop(const base::Clock& clock);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The socket stays where it is until it is removed or the loop has run for the last time.
  void on_readable(Socket& socket, Handler handler);
  // Of a pipe, a socket or the like: the kernel has no readiness of regular files.
  void on_readable(int fd, Handler handler);
  // When the other end of a pipe, socket or terminal is gone; again in each turn until it is
  // removed. What can be read or written is no reason.
  void on_hangup(int fd, Handler handler);
  void remove(Socket& socket);
  void remove(int fd);
  // Leaves what waits at the socket unread, and costs nothing, until resume(). What has arrived by
  // then is found in the next turn.
  void pause(Socket& socket) { set_paused(socket, true); }
  void resume(Socket& socket) { set_paused(socket, false); }

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
    Socket* socket;  // null for a plain descriptor
    int fd;
    Handler handler;
    bool ready = false;
    bool removed = false;
    bool paused = false;
  };
  struct Timer {
    TimerId id;
    base::Duration period;  // zero: once
    Handler handler;
  };

  void add(Socket* socket, int fd, std::uint32_t events, Handler handler);
  void set_paused(Socket& socket, bool paused);
  void sweep();
  bool ask_used_sockets();
  void wait();
  void call_handlers();
  void run_timers();

  const base::Clock& clock_;
  int epoll_;
  std::vector<std::unique_ptr<Source>> sources_;  // epoll holds their addresses
  bool swept_ = true;
  std::multimap<base::TimePoint, Timer> timers_;
  TimerId next_timer_ = 1;
  Handler turn_end_;
  bool running_ = false;
};

}  // namespace canopy::net
