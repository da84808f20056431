// Whether the proxy still serves a connection. Pure; not thread-safe. docs/reference/protocol.md
// specifies pings.
//
// Batches alone do not show it: a proxy may send them and read nothing. A ping is due when no frame
// came for a second, or when no reply came for a second although a request is unanswered.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>

#include "core/base/clock.h"

namespace canopy::client {

class Liveness {
 public:
  static constexpr base::Duration ping_after = std::chrono::seconds(1);
  // Without any frame, or a pong.
  static constexpr base::Duration timeout = std::chrono::seconds(3);
  // For a pong that may be behind more than this on its way here.
  static constexpr std::size_t backlog_bytes = std::size_t{64} << 10;
  static constexpr base::Duration backlog_timeout = std::chrono::seconds(10);

  explicit Liveness(base::TimePoint now) : last_frame_(now), answered_(now) {}

  // A frame; `answers` if the proxy shows by it that it serves requests.
  void on_frame(std::size_t bytes, bool answers, base::TimePoint now) {
    last_frame_ = now;
    bytes_ += bytes;
    if (answers) answered_ = now;
  }
  void on_pong() { pinged_.reset(); }

  // True when a ping is to be sent now, which then counts as sent. `owed`: a request is unanswered.
  bool start_ping(bool owed, base::TimePoint now) {
    if (pinged_) return false;
    if (!owed) answered_ = now;
    if (now - std::min(last_frame_, answered_) < ping_after) return false;
    pinged_ = now;
    bytes_ = 0;
    return true;
  }

  bool lost(base::TimePoint now) const {
    if (now - last_frame_ >= timeout) return true;
    const base::Duration limit = bytes_ > backlog_bytes ? backlog_timeout : timeout;
    return pinged_ && now - std::max(*pinged_, answered_) >= limit;
  }

  // The process was stopped for so long: the proxy's timeouts end later by that.
  void postpone(base::Duration sleep) {
    last_frame_ += sleep;
    answered_ += sleep;
    if (pinged_) *pinged_ += sleep;
  }

 private:
  base::TimePoint last_frame_;
  base::TimePoint answered_;                 // or no answer was owed
  std::optional<base::TimePoint> pinged_{};  // and no pong yet
  std::size_t bytes_ = 0;                    // received since then
};

}  // namespace canopy::client
