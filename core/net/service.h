// How this process stands to its machine.
#pragma once

#include <functional>
#include <string>

#include "core/net/loop.h"

namespace canopy::net {

// The threads of this process, those that it starts from now on, let each other finish instead of
// interrupting the one that woke them (SCHED_BATCH): what one hands to another is then taken in
// larger lots. Where the system does not allow it, it costs some CPU more.
void prefer_throughput();

// What the service manager (systemd) is told of this process: that it is ready, that its loop
// turns, what it does, that it stops. See sd_notify(3). Without one ($NOTIFY_SOCKET is not set)
// nothing is said. Belongs to its loop.
class Service {
 public:
  // One short line for `systemctl status`, such as "12 of 300 clients".
  using Summary = std::function<std::string()>;

  // Says that the process is ready, which it must be; from now on tells its summary whenever that
  // has changed, and beats for the manager's watchdog if that is on ($WATCHDOG_USEC).
  Service(Loop& loop, Summary summary);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Does `work` as a reload, of which the manager waits for the end.
  void reload(const std::function<void()>& work);
  // Once the process has begun to stop.
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
