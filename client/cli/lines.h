// The lines of `list` and `watch`. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/events.h"

namespace canopy::client::cli {

// KEY <tab> REVISION <tab> VALUE
std::string entry_line(const Answer::Entry& entry);

// An event of a watch, as text or as JSON. In JSON revisions are strings: many readers take numbers
// for doubles, which have 53 bits.
std::string change_line(const Change& change, bool json);
std::string gap_line(std::optional<std::uint64_t> updates, bool json);
// Empty for the first snapshot, which is told by its entries alone.
std::string resync_line(Synced::How how, bool json);

}  // namespace canopy::client::cli
