// Passes each update to every frontend of a proxy, and flushes each frontend when it is due.
// Opens no socket. Belongs to the node's loop.
//
// The flush interval of a frontend follows the measured cost of its own flushes. The cost includes
// sending: a flush writes its queued bytes at once.
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
  // Updates gathered by all frontends. At a bound the proxy stops reading from shards until half
  // is flushed. One message, or the repair of one hole, may exceed a bound.
  static constexpr std::size_t max_updates = 131'072;
  static constexpr std::size_t max_bytes = std::size_t{32} << 20;

  struct Io {
    std::function<void()> send;                // writes the queues of all connections
    std::function<base::Duration()> cpu_time;  // of this thread so far
  };

  FanOut(std::vector<std::unique_ptr<Frontend>> frontends, const config::Proxy& config,
         Metrics& metrics, Io io);

  const std::vector<std::unique_ptr<Frontend>>& frontends() const { return frontends_; }

  void apply(const Stamped& stamped);
  // Flushes the frontends that are due; with `hurry` all of them. Returns the time until the next
  // flush; zero: now.
  std::optional<base::Duration> flush(base::TimePoint now, bool hurry);
  // Flushes everything, without the bounds of a turn.
  void finish(base::TimePoint now);

  bool full() const { return gathered_ >= max_updates || bytes_ >= max_bytes; }
  bool has_room() const { return gathered_ <= max_updates / 2 && bytes_ <= max_bytes / 2; }
  std::size_t bytes() const { return bytes_; }

  // `used`: by the process since it began. Call several times a second.
  void measure(const metrics::CpuTime& used);
  // Applies changed settings.
  void aim(const config::Proxy& config);
  // The longest flush interval of all frontends.
  base::Duration interval() const;

 private:
  struct Pace {
    FlushPacer pacer;
    base::Duration spent{};                    // on flushes, so far
    std::vector<base::TimePoint> committed{};  // of the updates that wait for a flush
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
