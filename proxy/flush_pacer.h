// When to send what has gathered: at once after a pause, else as often as it can be afforded.
// Pure: time and the CPU time used are arguments. Not thread-safe.
//
// A flush costs one wake-up and one send for every subscriber, however much it carries. The
// interval for which updates gather follows that cost, so that flushing stays near a share of a
// core. It begins with the first update that has to wait, not with the flush before it: an update
// waits for as long either way, but leaves with all that comes in the meantime. So sparse traffic
// and few subscribers keep their latency, dense traffic is packed. Where threads wait for a core
// for longer than they run, what they wait is the cost: on a machine that has no core to spare,
// fewer flushes are also the sooner ones. What other work takes, such as bringing joining clients
// up to date, is no cost of a flush: were it one, updates would wait for it twice.
//
// The interval is bounded by what latency may be added, the time that a flush itself takes
// included. Where even that would take more than `most_share` all would wait for the CPU instead,
// and longer: so it grows to three times the bound, and beyond it only to what one flush takes.
// (Part of a flush's cost grows with what it carries; to wait ever longer for that would save
// nothing.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>

#include "core/base/clock.h"
#include "core/metrics/cpu.h"

namespace canopy::proxy {

class FlushPacer {
 public:
  static constexpr double most_share = 2.0 / 5;
  // A batch of so many updates would gain little by more: an interval after the last flush will do
  // for it, lest writers that wait for their readers wait for the clock.
  static constexpr std::size_t plenty = 64;
  // And this one nothing.
  static constexpr std::size_t most = 256;

  // `longest`: the latency that gathering and one flush may add; 0 never gathers. `share` of one
  // core, above 0, at most 1.
  FlushPacer(base::Duration longest, double share) : longest_(longest), share_(share) {}
  // From the next measurement on.
  void aim(base::Duration longest, double share) {
    longest_ = longest;
    share_ = share;
  }

  // How long what waits, so many updates, should still wait; zero: send. Asked as soon as something
  // waits, which is when an interval begins: what then comes within it leaves with it.
  base::Duration wait(base::TimePoint now, std::size_t gathered) {
    if (!due_) due_ = now < last_ + interval_ ? now + interval_ : now;
    if (gathered >= most) return {};
    const base::TimePoint due = gathered >= plenty ? std::min(*due_, last_ + interval_) : *due_;
    return std::max(base::Duration{0}, due - now);
  }
  void flushed(base::TimePoint now) {
    last_ = now;
    due_.reset();
    ++flushes_;
  }
  // `cpu` is what the process has used since it began, `other` how much of that is known not to be
  // for flushes; called some times a second.
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
                          std::min(affordable(most_share), 3 * longest_), affordable(1)});
  }

  base::Duration interval() const { return interval_; }

 private:
  // The interval at which flushing takes this share of a core; of a whole one: how long a flush
  // takes.
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
