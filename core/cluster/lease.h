// Until when a process certainly holds its lease, as the process counts it by its own clock.
//
// A process counts from when it sent the renewal that was answered, the directory from when it
// received it, which is later: while their clocks run equally fast, nobody is told that a process
// is gone before its deadline. A directory that restarted has forgotten its leases and tells nobody
// that they ended; a watcher that knew a key takes it for gone when it has not come back for the
// longest lease that it was told of, counted from after the restart and so from after every renewal
// before. A directory shortens a lease only to `closed_grace`, and only when it sees the end of a
// connection from its own machine, where no device between can close it: the process has ended, or
// has closed its connection itself and knew of that earlier than the directory (closed_here()).
//
// Two ends of a lease come before its deadline. A process that resigned has given its lease up. A
// newer process that takes over a name ends the lease of the older one, which is told when it can
// be reached; of a name that is held exclusively only a successor takes over, and then the older
// one has ended.
//
// Safety depends on none of this: an entry is committed by the whole in-sync set, and leaderships
// are taken by compare_and_set. What a deadline decides is whether a leader that was replaced may
// still answer with what was committed before.
// Pure. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "core/base/clock.h"

namespace canopy::cluster {

// What is left of a lease at most when the connection of its session has been closed. A process
// that lives connects again within this time.
inline constexpr base::Duration closed_grace = std::chrono::milliseconds(500);

class Lease {
 public:
  // A renewal is about to be sent. Its number is of it alone, and above those before.
  void asked(std::uint64_t number, base::TimePoint now) {
    if (unanswered_.size() >= max_unanswered) unanswered_.pop_front();
    unanswered_.emplace_back(number, now);
  }

  // The directory has received that renewal, and lets the lease run for `length` from then.
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
  // This process has something to say in the directory again.
  void take_up() { resigned_ = false; }

  // Absent: no lease is held.
  std::optional<base::TimePoint> deadline() const { return resigned_ ? std::nullopt : deadline_; }

 private:
  // Renewals whose time is remembered: the answer to an older one counts for nothing.
  static constexpr std::size_t max_unanswered = 16;

  std::deque<std::pair<std::uint64_t, base::TimePoint>> unanswered_{};
  std::optional<base::TimePoint> deadline_{};
  bool resigned_ = false;
};

}  // namespace canopy::cluster
