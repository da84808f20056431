// The frontends of a proxy, each with its own pace: an update to all of them, and what they have
// gathered on its way when it is due. Tested with frontends that open no socket. Belongs to the
// node's loop.
//
// How often a frontend flushes follows what its own flushes cost. That includes sending: what a
// flush has queued is written at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/clock.h"
#include "core/config/cluster.h"
#include "core/metrics/cpu.h"
#include "proxy/flush_pacer.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"

namespace canopy::proxy {

class FanOut {
 public:
  // Of what all frontends have gathered: beyond, the proxy reads nothing more from shards, until
  // half of it has left. One message, or what the repair of one hole releases, may exceed it.
  static constexpr std::size_t max_updates = 131'072;
  static constexpr std::size_t max_bytes = std::size_t{32} << 20;

  struct Io {
    std::function<void()> send;                // writes what is queued
    std::function<base::Duration()> cpu_time;  // of this thread so far
  };

  FanOut(std::vector<std::unique_ptr<Frontend>> frontends, const config::Proxy& config,
         Metrics& metrics, Io io);

  const std::vector<std::unique_ptr<Frontend>>& frontends() const { return frontends_; }

  void apply(const Stamped& stamped);
  // Flushes what is due; all that waits when `hurry`. When the next flush is: zero: now.
  std::optional<base::Duration> flush(base::TimePoint now, bool hurry);
  // Everything, whatever it takes.
  void finish(base::TimePoint now);

  bool full() const { return gathered_ >= max_updates || bytes_ >= max_bytes; }
  bool has_room() const { return gathered_ <= max_updates / 2 && bytes_ <= max_bytes / 2; }
  std::size_t bytes() const { return bytes_; }

  // `used` by the process since it began; some times a second.
  void measure(const metrics::CpuTime& used);
  // The settings have changed.
  void aim(const config::Proxy& config);
  // The longest of all frontends.
  base::Duration interval() const;

 private:
  struct Pace {
    FlushPacer pacer;
    base::Duration spent{};                    // on flushes, so far
    std::vector<base::TimePoint> committed{};  // of the updates that wait
  };

  bool flush_one(std::size_t index, base::TimePoint now);
  void count();

  std::vector<std::unique_ptr<Frontend>> frontends_;
  std::vector<Pace> paces_;
  Metrics& metrics_;
  Io io_;
  std::size_t gathered_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace canopy::proxy
