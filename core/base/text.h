// Small things done with text.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace canopy::base {

// "a, b, c"; empty for none.
inline std::string joined(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& each : all) text += (text.empty() ? "" : ", ") + each;
  return text;
}

inline bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

inline bool has_control(std::string_view text) { return std::ranges::any_of(text, is_control); }

// One line: control characters as \xNN.
inline std::string one_line(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string line;
  for (const char c : text) {
    if (!is_control(c)) {
      line += c;
    } else {
      line += "\\x";
      line += digits[static_cast<unsigned char>(c) >> 4];
      line += digits[static_cast<unsigned char>(c) & 15];
    }
  }
  return line;
}

// For messages about what somebody wrote: one line, in quotes, its end left out when it is long.
inline std::string quoted(std::string_view text) {
  constexpr std::size_t most = 300;
  const bool cut = text.size() > most;
  return "'" + one_line(text.substr(0, most)) + (cut ? "…'" : "'");
}

}  // namespace canopy::base
