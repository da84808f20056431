// The clock and the event queue of a simulated world. Actions of one moment run in the order in
// which they were scheduled.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/base/clock.h"

namespace canopy::simulation {

class Events {
 public:
  using Action = std::function<void()>;
  static constexpr base::TimePoint start = base::TimePoint(std::chrono::hours(1));

  base::TimePoint now() const { return now_; }
  std::uint64_t done() const { return done_; }

  void after(base::Duration delay, Action action) { at(now_ + delay, std::move(action)); }
  void at(base::TimePoint when, Action action) {
    heap_.push_back({std::max(when, now_), ++asked_, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  // Runs the actions up to that time.
  void run_until(base::TimePoint end) {
    while (!heap_.empty() && heap_.front().when <= end) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      const Event next = std::move(heap_.back());
      heap_.pop_back();
      now_ = next.when;
      ++done_;
      next.action();
    }
    now_ = end;
  }

 private:
  struct Event {
    base::TimePoint when{};
    std::uint64_t number = 0;
    Action action{};
  };
  static bool later(const Event& a, const Event& b) {
    return std::pair(a.when, a.number) > std::pair(b.when, b.number);
  }

  base::TimePoint now_ = start;
  std::uint64_t asked_ = 0;
  std::uint64_t done_ = 0;
  std::vector<Event> heap_;
};

}  // namespace canopy::simulation
