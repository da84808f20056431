// What native clients were told beside changes, and what became of their writes. Pure.
#pragma once

#include <array>
#include <cstdint>

namespace canopy::loadtest {

struct Told {
  std::uint64_t gaps = 0;        // times that updates were said to be missed
  std::uint64_t missed = 0;      // how many, where the number was told
  std::uint64_t uncounted = 0;   // gaps of which it was not
  std::uint64_t overtaken = 0;   // updates that a resync did not tell, but later ones of their keys
  std::uint64_t snapshots = 0;   // first ones
  std::uint64_t by_changes = 0;  // resyncs
  std::uint64_t by_full = 0;     // resyncs
  std::uint64_t losses = 0;      // of contact
  std::uint64_t repeats = 0;     // writes that were sent once more
  std::uint64_t unanswered = 0;  // writes given up
  std::uint64_t refused = 0;     // writes refused for good
};

struct ToldName {
  const char* name;
  std::uint64_t Told::*count;
};
// As JSON has them.
inline constexpr std::array told_names{
    ToldName{"gaps", &Told::gaps},
    ToldName{"missed", &Told::missed},
    ToldName{"uncounted_gaps", &Told::uncounted},
    ToldName{"overtaken", &Told::overtaken},
    ToldName{"snapshots", &Told::snapshots},
    ToldName{"resyncs_changes", &Told::by_changes},
    ToldName{"resyncs_full", &Told::by_full},
    ToldName{"contact_losses", &Told::losses},
    ToldName{"write_repeats", &Told::repeats},
    ToldName{"writes_unanswered", &Told::unanswered},
    ToldName{"writes_refused", &Told::refused},
};

}  // namespace canopy::loadtest
