// Finds out from their vitals which processes run the configuration that the broker has just read.
// Pure: time is an argument. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/vitals.h"
#include "core/base/clock.h"

namespace canopy::broker {

class ReloadWatch {
 public:
  // A process must report within this time whether it applied the file.
  static constexpr base::Duration timeout = std::chrono::seconds(3);

  struct Process {
    std::string name{};
    bool supervised = false;    // by this broker
    bool present = false;       // in the directory
    std::uint64_t reloads = 0;  // number of its earlier reloads
  };

  // `permissions_only`: the broker refused the rest of the file, and so may other processes.
  ReloadWatch(std::string fingerprint, bool permissions_only, std::vector<Process> processes,
              base::TimePoint now)
      : fingerprint_(std::move(fingerprint)),
        permissions_only_(permissions_only),
        processes_(std::move(processes)),
        began_(now) {}

  // "NAME: why" of each process that did not apply the file. Nothing while the outcome is open:
  // some process may still report in time.
  std::optional<std::vector<std::string>> outcome(const VitalsBook& vitals,
                                                  base::TimePoint now) const;

 private:
  bool has_read(const Process& process, const VitalsBook::Entry* entry, base::TimePoint now) const;

  std::string fingerprint_;
  bool permissions_only_;
  std::vector<Process> processes_;
  base::TimePoint began_;
};

}  // namespace canopy::broker
