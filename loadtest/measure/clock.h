// CLOCK_MONOTONIC, which all processes of a machine share. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/base/clock.h"

namespace canopy::measure {

inline constexpr std::int64_t second_us = 1'000'000;
inline constexpr std::int64_t second_ns = 1'000'000'000;

inline std::int64_t now_ns() {
  // libstdc++'s steady clock is CLOCK_MONOTONIC.
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline std::int64_t now_us() { return now_ns() / 1000; }

// The same clock for loops and sessions.
class MachineClock final : public base::Clock {
 public:
  base::TimePoint now() const override { return base::TimePoint(base::Duration(now_us())); }
};

}  // namespace canopy::measure
