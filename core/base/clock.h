// Clocks. Time is an argument: only a program's node reads the machine's clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace canopy::base {

using Duration = std::chrono::microseconds;
// Microseconds since the Unix epoch.
using TimePoint = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Whole milliseconds; 0 for less than none.
constexpr std::uint64_t in_ms(Duration duration) {
  return static_cast<std::uint64_t>(std::max<Duration::rep>(duration.count(), 0)) / 1000;
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

// Wall time read once at construction and carried forward by the steady clock: comparable across
// restarts, yet never jumping while the process runs. Thread-safe.
class SystemClock final : public Clock {
 public:
  SystemClock()
      : wall_start_(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now())),
        steady_start_(std::chrono::steady_clock::now()) {}

  TimePoint now() const override {
    return wall_start_ +
           std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_start_);
  }

 private:
  TimePoint wall_start_;
  std::chrono::steady_clock::time_point steady_start_;
};

// A clock that tests advance by hand.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimePoint start = TimePoint(std::chrono::hours(1))) : now_(start) {}
  TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_;
};

}  // namespace canopy::base
