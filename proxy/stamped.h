// An update on its way to the clients of this proxy.
#pragma once

#include <cstdint>

#include "core/base/clock.h"
#include "core/keyspace/update.h"

namespace canopy::proxy {

// Stamps are a generation of the directory above a counter of 40 bits.
inline constexpr int stamp_counter_bits = 40;

constexpr std::int64_t first_stamp(std::uint32_t generation) {
  return std::int64_t{generation} << stamp_counter_bits;
}

struct Stamped {
  // The proxy's own sequence over all partitions: strictly increasing, and larger after a restart
  // than anything before it.
  std::int64_t stamp = 0;
  keyspace::UpdatePtr update{};
  base::TimePoint committed{};  // by the shard's clock
};

}  // namespace canopy::proxy
