// Decides when to flush gathered updates: at once after a pause, else as often as the CPU share
// allows. Pure: time and the CPU time used are arguments. Not thread-safe.
//
// A flush costs one wake-up and one send for every subscriber, however many updates it carries. The
// interval follows that cost, so that flushing takes about `share` of a core. An interval begins
// with the first update that has to wait, so that all updates within it leave together. Sparse
// traffic keeps its latency; dense traffic is batched.
//
// Cost. Where threads wait for a core longer than they run, the wait is the cost: on a busy machine
// fewer flushes also arrive sooner. Other work, such as catch-ups, does not count: updates would
// wait for it twice.
//
// Bounds. Interval and flush together stay within the latency `longest`. If that would take more
// than `max_share` of a core, the interval grows to three times the bound. Beyond that it grows
// only to the duration of one flush: longer waits would save nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>

#include "core/base/clock.h"
#include "core/metrics/cpu.h"

namespace canopy::proxy {

class FlushPacer {
 public:
  static constexpr double max_share = 2.0 / 5;
  // From 64 gathered updates, flush one interval after the last flush: more would save little, and
  // writers may wait for their readers. From 256, flush immediately.
  static constexpr std::size_t flush_early_updates = 64;
  static constexpr std::size_t flush_now_updates = 256;

  // `longest`: latency that gathering and one flush may add; 0: never gather. `share`: of one
  // core, above 0, at most 1.
  FlushPacer(base::Duration longest, double share) : longest_(longest), share_(share) {}
  // Takes effect with the next measurement.
  void aim(base::Duration longest, double share) {
    longest_ = longest;
    share_ = share;
  }

  // How long `gathered` updates should still wait; zero: flush now. Call it as soon as the first
  // update waits: the call begins the interval.
  base::Duration wait(base::TimePoint now, std::size_t gathered) {
    if (!due_) due_ = now < last_ + interval_ ? now + interval_ : now;
    if (gathered >= flush_now_updates) return {};
    const base::TimePoint due =
        gathered >= flush_early_updates ? std::min(*due_, last_ + interval_) : *due_;
    return std::max(base::Duration{0}, due - now);
  }
  void flushed(base::TimePoint now) {
    last_ = now;
    due_.reset();
    ++flushes_;
  }
  // `cpu`: used by the process since it began. `other`: the part of it that was not for flushes.
  // Call several times a second.
  void measure(const metrics::CpuTime& cpu, base::Duration other = {}) {
    const base::Duration ran = cpu.ran - measured_.ran;
    const base::Duration for_flushes = ran - std::min(ran, other - other_);
    const double share = ran.count() == 0 ? 1 : for_flushes / std::chrono::duration<double>(ran);
    const auto waited = std::chrono::duration_cast<base::Duration>(
        share * std::chrono::duration<double>(cpu.waited - measured_.waited));
    const base::Duration taken = std::max(for_flushes, waited);
    measured_ = {.ran = cpu.ran, .waited = std::max(cpu.waited, measured_.waited)};
    other_ = other;
    if (flushes_ == 0) return;
    const double cost = static_cast<double>(taken.count()) / flushes_;
    cost_us_ = cost_us_ == 0 ? cost : cost_us_ + (cost - cost_us_) / 4;
    flushes_ = 0;
    if (longest_.count() == 0) {
      interval_ = {};
      return;
    }
    const base::Duration tolerable = longest_ - affordable(1);
    interval_ = std::max({std::min(affordable(share_), tolerable),
                          std::min(affordable(max_share), 3 * longest_), affordable(1)});
  }

  base::Duration interval() const { return interval_; }

 private:
  // The interval at which flushing takes this share of a core. affordable(1) is the duration of a
  // flush.
  base::Duration affordable(double share) const {
    return base::Duration(static_cast<base::Duration::rep>(cost_us_ / share));
  }

  base::Duration longest_;
  double share_;
  base::TimePoint last_{};
  std::optional<base::TimePoint> due_{};
  base::Duration interval_{};
  metrics::CpuTime measured_{};
  base::Duration other_{};
  double cost_us_ = 0;
  int flushes_ = 0;
};

}  // namespace canopy::proxy
