// What every JSON output of the command line shares. Pure; nlohmann-json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "client/events.h"

namespace canopy::client::cli {

using Json = nlohmann::ordered_json;

// Adds the member "NAME":"TEXT", or "NAME_base64":"…" when the bytes are not UTF-8.
void add_bytes(Json& object, const std::string& name, std::string_view bytes);
// One line, its line feed included. Bytes that are not UTF-8 become U+FFFD.
std::string json_line(const Json& value);

// {"key","revision","value","properties","ttl_ms"}. `properties` and `ttl_ms`, the time left at
// `now_ms` (since the Unix epoch), are there only if the entry has them. Revisions are strings:
// many readers take numbers for doubles, which have 53 bits.
Json entry_json(const Answer::Entry& entry, std::int64_t now_ms);

}  // namespace canopy::client::cli
