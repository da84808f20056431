// The deadline until which a process certainly holds its lease, by the clock of the process.
// Pure. Not thread-safe.
//
// The process counts from when it sent the renewal; the directory counts from when it received it,
// which is later. So, while their clocks run equally fast, the directory reports no process as gone
// before its deadline. A restarted directory has forgotten its leases and does not report their
// ends. A watcher then takes a key for deleted when it has not been announced again for the longest
// lease known to the watcher, counted from after the restart. A directory shortens a lease only to
// `closed_grace`, and only when it sees the end of a connection from its own machine, which no
// device between can close: the process has ended, or has closed the connection itself and knew
// of that before the directory (closed_here()).
//
// Two ends of a lease come before its deadline. A process that resigns gives its lease up. A newer
// process that takes over a name ends the lease of the older one, which the directory reports to it
// when it can. Only a successor takes over an exclusive name, and then the older process has ended.
//
// Safety depends on none of this: the whole in-sync set commits an entry, and compare_and_set
// grants leadership. The deadline decides whether a replaced leader may still serve reads.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "core/base/clock.h"

namespace canopy::cluster {

// The longest remainder of a lease once the connection of its session is closed. A live process
// connects again within this time.
inline constexpr base::Duration closed_grace = std::chrono::milliseconds(500);

class Lease {
 public:
  // A renewal is about to be sent. Its number is unique and higher than those before.
  void asked(std::uint64_t number, base::TimePoint now) {
    if (unanswered_.size() >= max_unanswered) unanswered_.pop_front();
    unanswered_.emplace_back(number, now);
  }

  // The directory has received that renewal, and the lease runs for `length` from then.
  void answered(std::uint64_t number, base::Duration length) {
    while (!unanswered_.empty() && unanswered_.front().first <= number) {
      const auto [asked, when] = unanswered_.front();
      unanswered_.pop_front();
      if (asked == number) deadline_ = when + length;
    }
  }

  // This process is about to close its connection to the directory, or its end of it broke.
  void closed_here(base::TimePoint now) {
    unanswered_.clear();
    if (deadline_) deadline_ = std::min(*deadline_, now + closed_grace);
  }

  void resign() { resigned_ = true; }
  // This process announces something again.
  void take_up() { resigned_ = false; }

  // Absent: no lease is held.
  std::optional<base::TimePoint> deadline() const { return resigned_ ? std::nullopt : deadline_; }

 private:
  // Renewals whose time is remembered; answers to older ones are ignored.
  static constexpr std::size_t max_unanswered = 16;

  std::deque<std::pair<std::uint64_t, base::TimePoint>> unanswered_{};
  std::optional<base::TimePoint> deadline_{};
  bool resigned_ = false;
};

}  // namespace canopy::cluster
