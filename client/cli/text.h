// Bytes as text and text as numbers, for people and for programs that read lines. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace canopy::client::cli {

// Valid UTF-8 without control characters, on one line and without tabs: \n, \t, \\, and \xNN for
// each byte of what else could not be shown.
std::string escaped(std::string_view bytes);

bool is_utf8(std::string_view bytes);
std::string base64(std::string_view bytes);
std::string json_string(std::string_view utf8);
// A member of a JSON object: "NAME":"TEXT", or "NAME_base64":"…" when the bytes are not UTF-8.
std::string json_member(std::string_view name, std::string_view bytes);

// A line for each row, its cells in columns two spaces apart; all rows have as many cells.
using Row = std::vector<std::string>;
std::string aligned(const std::vector<Row>& rows);

// 500ms, 5s, 2m, 1h: more than nothing.
base::Result<base::Duration> parse_duration(std::string_view text);
// The same in the largest unit that is whole.
std::string to_text(base::Duration duration);
base::Result<std::uint64_t> parse_number(std::string_view text);

}  // namespace canopy::client::cli
