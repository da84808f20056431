// The first 16 bytes of an update's value, by which a receiver knows the run, the publisher, the
// update's number and when it was sent. Pure; inline because it is on the hot path.
//
//   bits 127-100  run
//   bits  99-80   publisher
//   bits  79-48   counter
//   bits  47-0    sent_us
//
// Two 64-bit numbers in the machine's byte order: writer and reader are processes of one machine,
// which share the clock of sent_us (CLOCK_MONOTONIC).
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace canopy::measure {

struct Stamp {
  std::uint32_t run = 0;        // of run_of(): values of other runs and other programs do not count
  std::uint32_t publisher = 0;  // below max_publishers
  std::uint32_t counter = 0;    // 1, 2, 3 … per publisher
  std::int64_t sent_us = 0;     // below 2^48, which is nine years
};

inline constexpr std::size_t stamp_bytes = 16;
inline constexpr std::uint32_t max_publishers = 1u << 20;

// The 28 bits of a run's number that a stamp holds; never 0.
inline std::uint32_t run_of(std::uint64_t run) {
  return static_cast<std::uint32_t>(run % ((1u << 28) - 1)) + 1;
}

// Writes stamp_bytes.
inline void write_stamp(char* buffer, const Stamp& stamp) {
  const std::uint64_t high = (std::uint64_t{stamp.run} << 36) |
                             (std::uint64_t{stamp.publisher} << 16) | (stamp.counter >> 16);
  const std::uint64_t low =
      (std::uint64_t{stamp.counter} << 48) | static_cast<std::uint64_t>(stamp.sent_us);
  std::memcpy(buffer, &high, 8);
  std::memcpy(buffer + 8, &low, 8);
}

// Nothing when the value is too short for a stamp, or of another run.
inline std::optional<Stamp> read_stamp(std::string_view value, std::uint32_t run) {
  if (value.size() < stamp_bytes) return {};
  std::uint64_t high = 0, low = 0;
  std::memcpy(&high, value.data(), 8);
  std::memcpy(&low, value.data() + 8, 8);
  if (high >> 36 != run) return {};
  return Stamp{
      .run = run,
      .publisher = static_cast<std::uint32_t>(high >> 16) % max_publishers,
      .counter =
          (static_cast<std::uint32_t>(high & 0xffff) << 16) | static_cast<std::uint32_t>(low >> 48),
      .sent_us = static_cast<std::int64_t>(low & ((std::uint64_t{1} << 48) - 1)),
  };
}

}  // namespace canopy::measure
