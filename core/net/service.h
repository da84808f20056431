// This process and its machine: thread scheduling, and the service manager (systemd). Belongs to
// the loop's thread.
#pragma once

#include <functional>
#include <string>

#include "core/net/loop.h"

namespace canopy::net {

// Sets SCHED_BATCH for this thread and every thread that it starts later. A woken thread then does
// not preempt the thread that woke it, so work passes between threads in larger batches. No effect
// where the system refuses it.
void prefer_throughput();

// Reports to the service manager that this process is ready, alive, reloading or stopping, and a
// summary of its work. See sd_notify(3). Sends nothing when $NOTIFY_SOCKET is not set.
class Service {
 public:
  // One short line for `systemctl status`, such as "12 of 300 clients".
  using Summary = std::function<std::string()>;

  // Reports that the process is ready, which it must be. From then on sends its summary whenever
  // that changes, and heartbeats to the manager's watchdog if $WATCHDOG_USEC is set.
  Service(Loop& loop, Summary summary);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Runs `work` as a reload; the manager waits for its end.
  void reload(const std::function<void()>& work);
  // Reports that the process has begun to stop.
  void stopping();

 private:
  void send_summary();

  Loop& loop_;
  Summary summary_;
  std::string sent_{};
  Loop::TimerId summary_timer_ = 0;
  Loop::TimerId watchdog_timer_ = 0;
};

}  // namespace canopy::net
