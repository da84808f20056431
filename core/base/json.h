// Reads and writes JSON (RFC 8259) of bounded depth. Pure; a value owns what it holds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace canopy::base::json {

struct Value;
using Array = std::vector<Value>;
using Object = std::map<std::string, Value>;  // of equal names, the last one holds

// An integer that is not negative is a std::uint64_t when parsed. A number that is no integer, or
// that fits neither integer type, is a double.
struct Value : std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string,
                            Array, Object> {
  using variant::variant;
};

inline constexpr int max_depth = 64;

// Nothing when the text is not one JSON value in UTF-8, or nests deeper than max_depth.
std::optional<Value> parse(std::string_view text);

// On one line, names in order. Bytes that are not UTF-8 become U+FFFD.
std::string dump(const Value& value);

}  // namespace canopy::base::json
