#include "core/net/service.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "core/base/log.h"
#include "core/net/descriptor.h"

namespace canopy::net {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration summary_period = 1s;

// One datagram to the socket of the service manager, as sd_notify(3) describes it. False when it
// was not sent; errno is 0 when there is no manager.
bool send_to_manager(std::string_view text) {
  errno = 0;
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) return false;
  std::strcpy(address.sun_path, path);
  if (path[0] == '@') address.sun_path[0] = '\0';  // of the abstract namespace
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return sendto(socket.get(), text.data(), text.size(), MSG_NOSIGNAL,
                reinterpret_cast<const sockaddr*>(&address), size) >= 0;
}

// False without a service manager.
bool notify(const std::string& text) {
  if (send_to_manager(text)) return true;
  if (errno != 0) {
    base::log::warn("service", "the service manager cannot be reached",
                    {{"why", std::strerror(errno)}});
  }
  return false;
}

// A number in an environment variable; 0: there is none.
std::uint64_t number_of(const char* variable) {
  const std::string_view text = std::getenv(variable) != nullptr ? std::getenv(variable) : "";
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// How long the manager waits for a sign of life, as sd_watchdog_enabled(3) describes it; 0: for
// ever.
base::Duration watchdog_timeout() {
  const std::uint64_t process = number_of("WATCHDOG_PID");
  if (process != 0 && process != static_cast<std::uint64_t>(getpid())) return {};
  return std::chrono::microseconds(number_of("WATCHDOG_USEC"));
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
  if (const base::Duration timeout = watchdog_timeout(); timeout > 0ms) {
    const auto period = std::max<base::Duration>(timeout / 2, 1ms);
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
