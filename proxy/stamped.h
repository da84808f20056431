// An update on its way to the clients of this proxy.
#pragma once

#include <cstdint>

#include "core/base/clock.h"
#include "core/keyspace/update.h"

namespace canopy::proxy {

struct Stamped {
  // The proxy's own sequence over all partitions: strictly increasing, and larger after a restart
  // than anything before it, for it starts at the wall clock's milliseconds × 2^20.
  std::int64_t stamp = 0;
  keyspace::UpdatePtr update{};
  base::TimePoint committed{};  // by the shard's clock
};

}  // namespace canopy::proxy
