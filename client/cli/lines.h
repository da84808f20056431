// What `get`, `list` and `watch` print. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/events.h"

namespace canopy::client::cli {

// KEY <tab> REVISION <tab> VALUE
std::string entry_line(const Answer::Entry& entry);
// Key, revision, expiry, properties and value, a line each. `now_ms`: since the Unix epoch.
std::string entry_table(const Answer::Entry& entry, std::int64_t now_ms);

// An event of a watch, as text or as JSON.
std::string change_line(const Change& change, bool json);
std::string gap_line(std::optional<std::uint64_t> updates, bool json);
// Empty for the first snapshot: its entries announce it.
std::string resync_line(Synced::How how, bool json);

}  // namespace canopy::client::cli
