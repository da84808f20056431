// Which processes run the configuration that the broker has just read, by what they say in their
// vitals. Pure: time is an argument.
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
  // For so long a process may take to say what it made of the file.
  static constexpr base::Duration patience = std::chrono::seconds(3);

  struct Process {
    std::string name{};
    bool told = false;          // by this broker, which supervises it
    bool present = false;       // in the directory
    std::uint64_t reloads = 0;  // that it had done before
  };

  // `permissions_only`: the broker has refused the rest of the file, and so may the others.
  ReloadWatch(std::string fingerprint, bool permissions_only, std::vector<Process> processes,
              base::TimePoint now)
      : fingerprint_(std::move(fingerprint)),
        permissions_only_(permissions_only),
        processes_(std::move(processes)),
        began_(now) {}

  // Once it is known of all, or the time is over: "p1: why" of each process that has not followed.
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
