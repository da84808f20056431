// Conversions between bytes, lines of text, numbers and durations. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace canopy::client::cli {

// One line of valid UTF-8 without tabs and control characters: \n, \t, \\, and \xNN for each other
// byte that cannot be printed.
std::string escaped(std::string_view bytes);

// One line per row, with columns two spaces apart. All rows have the same number of cells.
using Row = std::vector<std::string>;
std::string aligned(const std::vector<Row>& rows);

// 500ms, 5s, 2m, 1h: above zero.
base::Result<base::Duration> parse_duration(std::string_view text);
// In the largest unit that divides it.
std::string to_text(base::Duration duration);
base::Result<std::uint64_t> parse_number(std::string_view text);

}  // namespace canopy::client::cli
