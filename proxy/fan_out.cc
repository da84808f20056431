#include "proxy/fan_out.h"

#include <algorithm>

namespace canopy::proxy {

FanOut::FanOut(std::vector<std::unique_ptr<Frontend>> frontends, const config::Proxy& config,
               Metrics& metrics, Io io)
    : frontends_(std::move(frontends)), metrics_(metrics), io_(std::move(io)) {
  for (std::size_t i = 0; i < frontends_.size(); ++i) {
    paces_.push_back({.pacer = {config.max_linger, config.publish_share / 100.0}});
  }
}

void FanOut::apply(const Stamped& stamped) {
  for (std::size_t i = 0; i < frontends_.size(); ++i) {
    const std::size_t before = frontends_[i]->gathered();
    frontends_[i]->apply(stamped);
    if (frontends_[i]->gathered() > before) paces_[i].committed.push_back(stamped.committed);
  }
  count();
}

std::optional<base::Duration> FanOut::flush(base::TimePoint now, bool hurry) {
  std::optional<base::Duration> next;
  for (std::size_t i = 0; i < frontends_.size(); ++i) {
    const std::size_t gathered = frontends_[i]->gathered();
    if (gathered == 0) continue;
    base::Duration wait = hurry ? base::Duration{0} : paces_[i].pacer.wait(now, gathered);
    if (wait.count() == 0 && !flush_one(i, now)) continue;
    next = std::min(next.value_or(wait), wait);
  }
  count();
  return next;
}

// True when updates are left for the next turn.
bool FanOut::flush_one(std::size_t index, base::TimePoint now) {
  Pace& pace = paces_[index];
  const base::Duration before = io_.cpu_time();
  const bool more = frontends_[index]->flush(now);
  io_.send();
  pace.spent += io_.cpu_time() - before;
  const std::size_t left = std::min(frontends_[index]->gathered(), pace.committed.size());
  const auto end = pace.committed.end() - static_cast<std::ptrdiff_t>(left);
  for (auto at = pace.committed.begin(); at != end; ++at) {
    const std::chrono::duration<double> latency = now - *at;
    metrics_.delivery_latency.Observe(std::max(latency.count(), 0.0));
  }
  const auto sent = end - pace.committed.begin();
  if (sent > 0) metrics_.flush_updates.Observe(static_cast<double>(sent));
  pace.committed.erase(pace.committed.begin(), end);
  if (!more) pace.pacer.flushed(now);
  return more;
}

void FanOut::finish(base::TimePoint now) {
  for (std::size_t i = 0; i < frontends_.size(); ++i) {
    while (frontends_[i]->gathered() > 0 && flush_one(i, now)) {
    }
  }
  count();
}

void FanOut::count() {
  gathered_ = bytes_ = 0;
  for (const auto& frontend : frontends_) {
    gathered_ += frontend->gathered();
    bytes_ += frontend->gathered_bytes();
  }
}

// CPU time of other work does not count as a cost of flushes.
void FanOut::measure(const metrics::CpuTime& used) {
  for (Pace& pace : paces_) pace.pacer.measure(used, used.ran - pace.spent);
}

void FanOut::aim(const config::Proxy& config) {
  for (Pace& pace : paces_) pace.pacer.aim(config.max_linger, config.publish_share / 100.0);
}

base::Duration FanOut::interval() const {
  base::Duration longest{};
  for (const Pace& pace : paces_) longest = std::max(longest, pace.pacer.interval());
  return longest;
}

}  // namespace canopy::proxy
