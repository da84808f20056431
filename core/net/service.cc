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

// False when there is nobody to tell.
bool tell(const std::string& what) {
  const int told = sd_notify(0, what.c_str());
  if (told < 0) {
    base::log::warn("service", "the service manager cannot be told",
                    {{"why", std::strerror(-told)}});
  }
  return told > 0;
}

}  // namespace

void prefer_throughput() {
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);
}

Service::Service(Loop& loop, Summary summary) : loop_(loop), summary_(std::move(summary)) {
  if (std::getenv("NOTIFY_SOCKET") == nullptr) return;
  tell("READY=1");
  tell_summary();
  summary_timer_ = loop_.every(summary_period, [this] { tell_summary(); });
  std::uint64_t patience_us = 0;
  if (sd_watchdog_enabled(0, &patience_us) > 0) {
    const auto period = std::max<base::Duration>(std::chrono::microseconds(patience_us / 2), 1ms);
    watchdog_timer_ = loop_.every(period, [] { tell("WATCHDOG=1"); });
  }
}

Service::~Service() {
  loop_.cancel(summary_timer_);
  loop_.cancel(watchdog_timer_);
}

void Service::tell_summary() {
  std::string summary = summary_();
  if (summary != told_ && tell("STATUS=" + summary)) told_ = std::move(summary);
}

void Service::reload(const std::function<void()>& work) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  tell("RELOADING=1\nMONOTONIC_USEC=" +
       std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count()));
  work();
  tell("READY=1");
}

void Service::stopping() { tell("STOPPING=1"); }

}  // namespace canopy::net
