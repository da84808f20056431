#include "broker/reload_watch.h"

namespace canopy::broker {

// True when the process has read the file: by a reload, or because it started after it.
bool ReloadWatch::has_read(const Process& process, const VitalsBook::Entry* entry,
                           base::TimePoint now) const {
  if (entry == nullptr || entry->vitals.file.fingerprint != fingerprint_) return false;
  if (!process.supervised || entry->vitals.file.number > process.reloads) return true;
  return entry->heard > began_ &&
         entry->vitals.uptime_ms <= static_cast<std::uint64_t>(base::in_ms(now - began_));
}

std::optional<std::vector<std::string>> ReloadWatch::outcome(const VitalsBook& vitals,
                                                             base::TimePoint now) const {
  std::vector<std::string> failures;
  for (const Process& process : processes_) {
    const VitalsBook::Entry* entry = vitals.find(process.name);
    if (has_read(process, entry, now)) {
      const std::string& why = entry->vitals.file.refused;
      if (!why.empty() && !permissions_only_) failures.push_back(process.name + ": " + why);
      continue;
    }
    if (!process.present) {
      failures.push_back(process.name + ": is down");
    } else if (now - began_ < timeout) {
      return std::nullopt;
    } else if (process.supervised) {
      failures.push_back(process.name + ": has not reported that it read the file");
    } else {
      failures.push_back(process.name +
                         ": runs another file, and is not supervised by this broker: send it HUP");
    }
  }
  return failures;
}

}  // namespace canopy::broker
