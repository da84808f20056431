// When a client of a run joins and publishes. Pure; times in µs.
#pragma once

#include <cstdint>

#include "loadtest/options.h"

namespace canopy::loadtest {

class Schedule {
 public:
  Schedule(const Options& options, std::uint32_t publishers, std::int64_t start_us)
      : publishers_(publishers),
        start_us_(start_us),
        period_us_(std::int64_t{options.period_ms} * 1000),
        rate_(options.rate),
        spread_(options.phase == Phase::spread) {}

  std::int64_t join_at(std::uint32_t client) const {
    return start_us_ + static_cast<std::int64_t>(client * 1e6 / rate_);
  }

  // The publisher's first slot after `now_us`. A late publisher skips the slots that it missed.
  std::int64_t next_publish(std::uint32_t publisher, std::int64_t now_us) const {
    const std::int64_t phase = spread_ ? period_us_ * publisher / publishers_ : 0;
    const std::int64_t first = start_us_ + phase;
    if (now_us < first) return first;
    return first + ((now_us - first) / period_us_ + 1) * period_us_;
  }

 private:
  std::uint32_t publishers_;
  std::int64_t start_us_;
  std::int64_t period_us_;
  double rate_;
  bool spread_;
};

}  // namespace canopy::loadtest
