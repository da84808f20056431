// What the harness asks of the machine it runs on: the clock its processes share, descriptors.
#pragma once

#include <cstdint>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace canopy::loadtest {

// CLOCK_MONOTONIC in µs: the same for every process of this machine.
std::int64_t now_us();
inline constexpr std::int64_t second_us = 1'000'000;  // of now_us()

// The same, for loops and sessions.
class MachineClock final : public base::Clock {
 public:
  base::TimePoint now() const override { return base::TimePoint(base::Duration(now_us())); }
};

// Raises this process's soft limit of descriptors to the hard one; returns it.
std::uint64_t raise_descriptor_limit();
// Lowers (or raises, up to the hard limit) the soft limit.
base::Status set_descriptor_limit(std::uint64_t limit);

}  // namespace canopy::loadtest
