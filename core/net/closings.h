// How the ends of connections are counted and logged, the same in every program.
//
// Not thread-safe: belongs to the loop of its listeners.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/base/log.h"
#include "core/net/connections.h"

namespace canopy::net {

// Labels of metrics.
struct Closing {
  std::string closed{};   // canopy_connections_closed_total; empty: the peer left
  std::string refused{};  // canopy_handshakes_refused_total; empty: its handshake was over

  bool operator==(const Closing&) const = default;
};

// `reason` is that of ConnectionEvents::on_closed(). Pure.
Closing classify(std::string_view reason, bool ready);

class Closings {
 public:
  using Count = std::function<void(const Closing&)>;
  explicit Closings(Count count) : count_(std::move(count)) {}

  // `listener` is for the log.
  void add(std::string_view listener, const Connection& connection, std::string_view reason);

 private:
  Count count_;
  base::log::RateLimited log_;
};

}  // namespace canopy::net
