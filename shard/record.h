// Records of a store: sealed with their CRC-32 (4 bytes, little-endian), numbers of 8 bytes. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace canopy::shard {

inline constexpr std::size_t crc_bytes = 4;
inline constexpr std::size_t number_bytes = 8;

inline std::array<char, crc_bytes> crc_of(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  std::array<char, crc_bytes> result;
  for (std::size_t i = 0; i < crc_bytes; ++i) {
    result[i] = static_cast<char>(crc.checksum() >> (8 * i));
  }
  return result;
}

// Writes the bytes and their seal: crc_bytes more.
inline void seal(std::string_view bytes, char* to) {
  const auto crc = crc_of(bytes);
  to = std::copy_n(bytes.data(), bytes.size(), to);
  std::copy_n(crc.data(), crc.size(), to);
}

inline std::string sealed(std::string_view bytes) {
  std::string record(bytes.size() + crc_bytes, '\0');
  seal(bytes, record.data());
  return record;
}

// Nothing when the seal is broken.
inline std::string_view unsealed(std::string_view bytes) {
  if (bytes.size() < crc_bytes) return {};
  const std::string_view content = bytes.substr(0, bytes.size() - crc_bytes);
  const auto crc = crc_of(content);
  return bytes.substr(content.size()) == std::string_view(crc.data(), crc.size())
             ? content
             : std::string_view();
}

// Big-endian, so that keys sort as numbers.
inline std::string to_bytes(std::uint64_t number) {
  std::string bytes(number_bytes, '\0');
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte, number >>= 8) {
    *byte = static_cast<char>(number);
  }
  return bytes;
}

// Of the first eight bytes.
inline std::uint64_t to_number(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes.substr(0, number_bytes)) {
    number = number << 8 | static_cast<unsigned char>(byte);
  }
  return number;
}

}  // namespace canopy::shard
