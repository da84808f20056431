// Helpers for text. Pure; thread-safe.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace canopy::base {

// Lets an unordered container of strings be searched by a view; with std::equal_to<>.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>()(text);
  }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

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

// Bytes of the character that `text` begins with; 0: it is empty or does not begin with UTF-8.
std::size_t utf8_length(std::string_view text);

// Well-formed, so that JSON can hold it.
bool is_utf8(std::string_view text);

// Fit to be the name of a file or directory that Canopy makes: 1-63 of A-Z, a-z, 0-9, '-', '_' and
// '.', and no '.' first.
bool is_file_name(std::string_view text);

// One line: control characters as \xNN.
std::string one_line(std::string_view text);

// Input as error messages cite it: one line, in quotes, cut after 300 bytes.
std::string quoted(std::string_view text);

}  // namespace canopy::base
