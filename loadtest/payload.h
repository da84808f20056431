// What the harness writes into an update's value, so that whoever receives it can account for it:
//
//   magic (4) · run (8) · publisher (4) · counter (4) · sent_us (8) · filling
//
// In the machine's byte order: writer and reader are processes of one machine, which also share
// the clock of sent_us (CLOCK_MONOTONIC, µs). Pure; on the hot path, hence inline.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace canopy::loadtest::payload {

struct Stamp {
  std::uint64_t run = 0;        // values of other runs and other programs are not ours to judge
  std::uint32_t publisher = 0;  // index of the client that wrote it
  std::uint32_t counter = 0;    // 1, 2, 3 … per publisher
  std::int64_t sent_us = 0;
};

inline constexpr std::string_view magic = "cnpL";
inline constexpr std::size_t header_bytes = 28;

// Into a buffer that holds at least header_bytes.
inline void write(std::string& buffer, const Stamp& stamp) {
  char* at = buffer.data();
  std::memcpy(at, magic.data(), 4);
  std::memcpy(at + 4, &stamp.run, 8);
  std::memcpy(at + 12, &stamp.publisher, 4);
  std::memcpy(at + 16, &stamp.counter, 4);
  std::memcpy(at + 20, &stamp.sent_us, 8);
}

// Nothing when the value was not written by a harness.
inline std::optional<Stamp> read(std::string_view value) {
  if (value.size() < header_bytes || std::memcmp(value.data(), magic.data(), 4) != 0) return {};
  Stamp stamp;
  std::memcpy(&stamp.run, value.data() + 4, 8);
  std::memcpy(&stamp.publisher, value.data() + 12, 4);
  std::memcpy(&stamp.counter, value.data() + 16, 4);
  std::memcpy(&stamp.sent_us, value.data() + 20, 8);
  return stamp;
}

}  // namespace canopy::loadtest::payload
