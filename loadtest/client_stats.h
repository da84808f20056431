// Counts of native clients: gaps, resyncs, contact losses and results of writes. Pure.
#pragma once

#include <array>
#include <cstdint>

namespace canopy::loadtest {

struct ClientStats {
  std::uint64_t gaps = 0;        // reports of missed updates
  std::uint64_t missed = 0;      // updates missed in the gaps that have a number
  std::uint64_t uncounted = 0;   // gaps without a number
  std::uint64_t overtaken = 0;   // updates that a resync skipped for later ones of their keys
  std::uint64_t snapshots = 0;   // first ones
  std::uint64_t by_changes = 0;  // resyncs by changes
  std::uint64_t by_full = 0;     // resyncs by comparing everything
  std::uint64_t losses = 0;      // of contact with every proxy
  std::uint64_t repeats = 0;     // writes that a session sent again
  std::uint64_t unanswered = 0;  // writes that timed out
  std::uint64_t refused = 0;     // writes that the cluster refused
};

struct StatName {
  const char* name;
  std::uint64_t ClientStats::*count;
};
// Names in JSON.
inline constexpr std::array stat_names{
    StatName{"gaps", &ClientStats::gaps},
    StatName{"missed", &ClientStats::missed},
    StatName{"uncounted_gaps", &ClientStats::uncounted},
    StatName{"overtaken", &ClientStats::overtaken},
    StatName{"snapshots", &ClientStats::snapshots},
    StatName{"resyncs_changes", &ClientStats::by_changes},
    StatName{"resyncs_full", &ClientStats::by_full},
    StatName{"contact_losses", &ClientStats::losses},
    StatName{"write_repeats", &ClientStats::repeats},
    StatName{"writes_unanswered", &ClientStats::unanswered},
    StatName{"writes_refused", &ClientStats::refused},
};

}  // namespace canopy::loadtest
