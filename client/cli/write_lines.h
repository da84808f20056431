// The JSON lines that `import` and `apply` read; docs/reference/cli.md specifies them. Pure.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/wire/write.h"

namespace canopy::client::cli {

// Longest line: the largest value, each byte of it escaped as \u00XX, and room for the rest.
inline constexpr std::size_t max_line_bytes = std::size_t{7} << 20;

// {"key","value","properties","ttl_ms"}, as `export` prints it; `revision` is ignored.
base::Result<wire::Write> parse_entry_line(std::string_view line);
// {"put":KEY,"value","properties","ttl_ms","if_revision"} or {"delete":KEY,"if_revision"}.
base::Result<wire::Write> parse_write_line(std::string_view line);

}  // namespace canopy::client::cli
