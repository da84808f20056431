// The updates that wait for the fan-out, in lots: what one flush sends.
//
// Bounded in updates and bytes: when it is full the proxy stops reading from shards, until half of
// it has left. Its owner asks full() after each message, so that one message is the most by which
// the bound is exceeded, or what the repair of one hole releases (MirrorSettings::held_bytes).
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

class PendingUpdates {
 public:
  static constexpr std::size_t max_updates = 131'072;
  static constexpr std::size_t max_bytes = std::size_t{32} << 20;
  // What one flush sends at most; the rest follows in the next turn.
  static constexpr std::size_t lot_updates = 8192;
  static constexpr std::size_t lot_bytes = std::size_t{4} << 20;
  // What an update takes beside its own bytes: object, allocations, its place here.
  static constexpr std::size_t update_overhead = 256;

  static std::size_t cost(const keyspace::Update& update) {
    return update.bytes() + update_overhead;
  }

  void push(Stamped stamped) {
    const std::size_t bytes = cost(*stamped.update);
    if (lots_.empty() || lots_.back().updates.size() == lot_updates ||
        lots_.back().bytes + bytes > lot_bytes) {
      lots_.push_back({.updates = std::exchange(spare_, {})});
    }
    Lot& lot = lots_.back();
    lot.updates.push_back(std::move(stamped));
    lot.bytes += bytes;
    bytes_ += bytes;
    ++size_;
  }

  // The oldest lot; empty when nothing waits.
  std::span<const Stamped> front() const {
    return lots_.empty() ? std::span<const Stamped>() : std::span(lots_.front().updates);
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

  // Whether nothing more should be read, with `copied` bytes more that others hold of them.
  bool full(std::size_t copied) const {
    return size_ >= max_updates || bytes_ + copied >= max_bytes;
  }
  // Whether enough has left for reading to go on.
  bool has_room(std::size_t copied) const {
    return size_ <= max_updates / 2 && bytes_ + copied <= max_bytes / 2;
  }

 private:
  struct Lot {
    std::vector<Stamped> updates{};
    std::size_t bytes = 0;
  };

  std::deque<Lot> lots_;
  std::vector<Stamped> spare_;  // memory of the last lot, for the next
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace canopy::proxy
