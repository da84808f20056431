// What the harness writes into an update's value, so that whoever receives it can account for it:
// 16 bytes, which are
//
//   bits 127-100  run          values of other runs and other programs are not ours to judge
//   bits  99-80   publisher
//   bits  79-48   counter
//   bits  47-0    sent_us
//
// as two numbers in the machine's byte order, and then filling: writer and reader are processes of
// one machine, which also share the clock of sent_us (CLOCK_MONOTONIC, µs). Pure; on the hot path,
// hence inline.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace canopy::loadtest::payload {

struct Stamp {
  std::uint32_t run = 0;        // run_of() the number of the run
  std::uint32_t publisher = 0;  // who wrote it, below max_publishers
  std::uint32_t counter = 0;    // 1, 2, 3 … per publisher
  std::int64_t sent_us = 0;     // below 2^48, which is nine years
};

inline constexpr std::size_t header_bytes = 16;
inline constexpr std::uint32_t max_publishers = 1u << 20;

// What a stamp keeps of a run's number: 28 bits, never 0.
inline std::uint32_t run_of(std::uint64_t run) {
  return static_cast<std::uint32_t>(run % ((1u << 28) - 1)) + 1;
}

// Into a buffer that holds at least header_bytes.
inline void write(std::string& buffer, const Stamp& stamp) {
  const std::uint64_t high = (std::uint64_t{stamp.run} << 36) |
                             (std::uint64_t{stamp.publisher} << 16) | (stamp.counter >> 16);
  const std::uint64_t low =
      (std::uint64_t{stamp.counter} << 48) | static_cast<std::uint64_t>(stamp.sent_us);
  std::memcpy(buffer.data(), &high, 8);
  std::memcpy(buffer.data() + 8, &low, 8);
}

// Nothing when the value is too short for one, or of another run.
inline std::optional<Stamp> read(std::string_view value, std::uint32_t run) {
  if (value.size() < header_bytes) return {};
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

}  // namespace canopy::loadtest::payload
