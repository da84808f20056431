// The updates that wait for the next flush of one frontend. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "core/base/clock.h"
#include "core/keyspace/update.h"

namespace canopy::proxy {

// Stamps are a generation of the directory above a counter of 40 bits.
inline constexpr int stamp_counter_bits = 40;

constexpr std::int64_t first_stamp(std::uint32_t generation) {
  return std::int64_t{generation} << stamp_counter_bits;
}

struct Stamped {
  // The proxy's own sequence over all partitions: strictly increasing, also over restarts.
  std::int64_t stamp = 0;
  keyspace::UpdatePtr update{};
  std::size_t shard = 0;        // the shard that sent it: an index of Partitions
  base::TimePoint committed{};  // by the clock of that shard
};

class PendingUpdates {
 public:
  // Memory of an update beside its own bytes: object, allocations, queue entry.
  static constexpr std::size_t update_overhead = 256;

  void push(Stamped stamped) {
    bytes_ += cost(stamped);
    updates_.push_back(std::move(stamped));
  }
  // The oldest update; the queue must not be empty.
  const Stamped& front() const { return updates_.front(); }
  void pop_front() {
    bytes_ -= cost(front());
    updates_.pop_front();
  }

  bool empty() const { return updates_.empty(); }
  std::size_t size() const { return updates_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  static std::size_t cost(const Stamped& stamped) {
    return stamped.update->bytes() + update_overhead;
  }

  std::deque<Stamped> updates_;
  std::size_t bytes_ = 0;
};

}  // namespace canopy::proxy
