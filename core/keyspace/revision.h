// The position of an update in its partition's history: epoch (upper 24 bits) and counter (lower
// 40). Grows always; contiguous within an epoch; a new leader starts a new epoch at counter 0.
#pragma once

#include <cassert>
#include <compare>
#include <cstdint>

namespace canopy::keyspace {

class Revision {
 public:
  static constexpr int counter_bits = 40;
  static constexpr std::uint64_t max_counter = (std::uint64_t{1} << counter_bits) - 1;
  static constexpr std::uint32_t max_epoch = (1u << 24) - 1;

  constexpr Revision() = default;
  constexpr explicit Revision(std::uint64_t value) : value_(value) {}
  constexpr Revision(std::uint32_t epoch, std::uint64_t counter)
      : value_((std::uint64_t{epoch} << counter_bits) | counter) {
    assert(epoch <= max_epoch && counter <= max_counter);
  }

  constexpr std::uint64_t value() const { return value_; }
  constexpr std::uint32_t epoch() const {
    return static_cast<std::uint32_t>(value_ >> counter_bits);
  }
  constexpr std::uint64_t counter() const { return value_ & max_counter; }
  constexpr Revision next() const {
    assert(counter() < max_counter);
    return Revision(value_ + 1);
  }

  constexpr auto operator<=>(const Revision&) const = default;

 private:
  std::uint64_t value_ = 0;
};

}  // namespace canopy::keyspace
