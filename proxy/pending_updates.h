// The updates that wait for the fan-out of one frontend, in lots: what one flush sends.
//
// A lot is a vector of its own, so that nothing is moved when the one before it has left, and its
// memory goes back with it. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "proxy/stamped.h"

namespace canopy::proxy {

struct PendingUpdate : Stamped {
  std::size_t shard = 0;  // that it came from: an index of Partitions
};

class PendingUpdates {
 public:
  // What one flush sends at most; the rest follows in the next turn.
  static constexpr std::size_t lot_updates = 8192;
  static constexpr std::size_t lot_bytes = std::size_t{4} << 20;
  // What an update takes beside its own bytes: object, allocations, its place here.
  static constexpr std::size_t update_overhead = 256;

  static std::size_t cost(const keyspace::Update& update) {
    return update.bytes() + update_overhead;
  }

  void push(PendingUpdate pending) {
    const std::size_t bytes = cost(*pending.update);
    if (lots_.empty() || lots_.back().updates.size() == lot_updates ||
        lots_.back().bytes + bytes > lot_bytes) {
      lots_.push_back({.updates = std::exchange(spare_, {})});
    }
    Lot& lot = lots_.back();
    lot.updates.push_back(std::move(pending));
    lot.bytes += bytes;
    bytes_ += bytes;
    ++size_;
  }

  // The oldest lot; empty when nothing waits.
  std::span<const PendingUpdate> front() const {
    return lots_.empty() ? std::span<const PendingUpdate>() : std::span(lots_.front().updates);
  }
  void pop_front() {
    if (lots_.empty()) return;
    Lot& lot = lots_.front();
    bytes_ -= lot.bytes;
    size_ -= lot.updates.size();
    spare_ = std::move(lot.updates);
    spare_.clear();
    lots_.pop_front();
  }

  bool empty() const { return lots_.empty(); }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Lot {
    std::vector<PendingUpdate> updates{};
    std::size_t bytes = 0;
  };

  std::deque<Lot> lots_;
  std::vector<PendingUpdate> spare_;  // memory of the last lot, for the next
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace canopy::proxy
