#include "client/cli/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace canopy::client::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::pair<std::string_view, base::Duration>, 4> units = {
    {{"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}}};
constexpr base::Duration longest = std::chrono::hours(24 * 365 * 1000);

std::uint8_t byte_of(char c) { return static_cast<std::uint8_t>(c); }

// Bytes of the UTF-8 character that `text` begins with; 0 when it begins with none.
std::size_t character_bytes(std::string_view text) {
  const std::uint8_t first = byte_of(text.front());
  if (first < 0x80) return 1;
  const std::size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < count) return 0;
  for (std::size_t i = 1; i < count; ++i) {
    if ((byte_of(text[i]) & 0xc0) != 0x80) return 0;
  }
  const std::uint8_t second = byte_of(text[1]);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool beyond = first == 0xf4 && second >= 0x90;
  return overlong || surrogate || beyond ? 0 : count;
}

// U+0000-U+001F, U+007F and U+0080-U+009F: a terminal would obey them.
bool is_control(std::string_view character) {
  const std::uint8_t first = byte_of(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && byte_of(character[1]) < 0xa0;
}

void append_hex(std::string& out, std::string_view prefix, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char c : bytes) {
    out += prefix;
    out += digits[byte_of(c) >> 4];
    out += digits[byte_of(c) & 0xf];
  }
}

}  // namespace

std::string escaped(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0, count = 0; at < bytes.size(); at += count) {
    const std::size_t valid = character_bytes(bytes.substr(at));
    count = valid == 0 ? 1 : valid;
    const std::string_view character = bytes.substr(at, count);
    if (character == "\n") {
      out += "\\n";
    } else if (character == "\t") {
      out += "\\t";
    } else if (character == "\\") {
      out += "\\\\";
    } else if (valid == 0 || is_control(character)) {
      append_hex(out, "\\x", character);
    } else {
      out += character;
    }
  }
  return out;
}

base::Result<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc() && rest == text.data() + text.size()) return number;
  return base::Error{"'" + escaped(text) + "' is not a whole number"};
}

std::string aligned(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      text += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    }
    text += row.back() + "\n";
  }
  return text;
}

base::Result<base::Duration> parse_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number(text.substr(0, digits));
  for (const auto& [name, unit] : units) {
    if (!number || *number == 0 || text.substr(digits) != name) continue;
    if (*number > static_cast<std::uint64_t>(longest / unit)) break;
    return unit * static_cast<base::Duration::rep>(*number);
  }
  return base::Error{"'" + escaped(text) + "' is not a duration such as 500ms, 5s or 2m"};
}

std::string to_text(base::Duration duration) {
  for (const auto& [name, unit] : units) {
    if (duration % unit == 0ms) return std::to_string(duration / unit) + std::string(name);
  }
  return std::to_string(duration.count()) + "us";
}

}  // namespace canopy::client::cli
