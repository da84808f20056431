#include "core/net/service.h"

#include <sched.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/base/log.h"

namespace canopy::net {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration summary_period = 1s;

// False without a service manager.
bool notify(const std::string& what) {
  const int sent = sd_notify(0, what.c_str());
  if (sent < 0) {
    base::log::warn("service", "the service manager cannot be told",
                    {{"why", std::strerror(-sent)}});
  }
  return sent > 0;
}

}  // namespace

void prefer_throughput() {
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);
}

Service::Service(Loop& loop, Summary summary) : loop_(loop), summary_(std::move(summary)) {
  if (std::getenv("NOTIFY_SOCKET") == nullptr) return;
  notify("READY=1");
  send_summary();
  summary_timer_ = loop_.every(summary_period, [this] { send_summary(); });
  std::uint64_t patience_us = 0;
  if (sd_watchdog_enabled(0, &patience_us) > 0) {
    const auto period = std::max<base::Duration>(std::chrono::microseconds(patience_us / 2), 1ms);
    watchdog_timer_ = loop_.every(period, [] { notify("WATCHDOG=1"); });
  }
}

Service::~Service() {
  loop_.cancel(summary_timer_);
  loop_.cancel(watchdog_timer_);
}

void Service::send_summary() {
  std::string summary = summary_();
  if (summary != sent_ && notify("STATUS=" + summary)) sent_ = std::move(summary);
}

void Service::reload(const std::function<void()>& work) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  notify("RELOADING=1\nMONOTONIC_USEC=" +
         std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count()));
  work();
  notify("READY=1");
}

void Service::stopping() { notify("STOPPING=1"); }

}  // namespace canopy::net
