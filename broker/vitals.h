// What the processes of the cluster last said of how they are doing, and how fast what they count
// grows. Pure: time is an argument.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/cluster/registry.h"
#include "core/coordination/member.h"

namespace canopy::broker {

// Each second, between the last two times that a process spoke up, by its own clock.
struct Rates {
  double updates = 0;
  double deliveries = 0;
  double delivered_bytes = 0;
  double drops = 0;
};

class VitalsBook {
 public:
  struct Entry {
    coordination::Vitals vitals{};
    base::TimePoint heard{};
    std::optional<Rates> rates{};  // after it spoke up twice since it started
  };

  // Takes a change of the directory; those of other keys pass. A value that is none is an error,
  // and counts as absent.
  base::Status apply(const cluster::KeyChanged& change, base::TimePoint now);

  // Null for one that has not said anything, or is no longer there.
  const Entry* find(const std::string& name) const;

 private:
  std::map<std::string, Entry> entries_;  // bounded, as the directory is
};

}  // namespace canopy::broker
