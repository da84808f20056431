// Whether the proxy at the other end of a connection still serves it. Pure.
//
// Batches alone do not show that: a proxy may send them and read nothing. So a ping is due when
// nothing was heard for a second, or no answer came for a second although one is owed.
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

  explicit Liveness(base::TimePoint now) : heard_(now), answered_(now) {}

  // A frame; `answers` if the proxy shows by it that it serves requests.
  void on_frame(std::size_t bytes, bool answers, base::TimePoint now) {
    heard_ = now;
    bytes_ += bytes;
    if (answers) answered_ = now;
  }
  void on_pong() { pinged_.reset(); }

  // Whether a ping is to be sent now. `owed`: whether some request is unanswered.
  bool take_ping(bool owed, base::TimePoint now) {
    if (pinged_) return false;
    if (!owed) answered_ = now;
    if (now - std::min(heard_, answered_) < ping_after) return false;
    pinged_ = now;
    bytes_ = 0;
    return true;
  }

  bool lost(base::TimePoint now) const {
    if (now - heard_ >= timeout) return true;
    const base::Duration patience = bytes_ > backlog_bytes ? backlog_timeout : timeout;
    return pinged_ && now - std::max(*pinged_, answered_) >= patience;
  }

  // The process was stopped for so long: that was not the proxy's silence.
  void forgive(base::Duration sleep) {
    heard_ += sleep;
    answered_ += sleep;
    if (pinged_) *pinged_ += sleep;
  }

 private:
  base::TimePoint heard_;
  base::TimePoint answered_;                 // or no answer was owed
  std::optional<base::TimePoint> pinged_{};  // and no pong yet
  std::size_t bytes_ = 0;                    // heard since then
};

}  // namespace canopy::client
