// The last reported vitals of each process, and the growth rates of their counters. Pure: time is
// an argument. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/cluster/registry.h"
#include "core/wire/member.h"

namespace canopy::broker {

// Per second, between the last two reports of a process, by its own clock.
struct Rates {
  double updates = 0;
  double deliveries = 0;
  double delivered_bytes = 0;
  double drops = 0;
};

class VitalsBook {
 public:
  struct Entry {
    wire::Vitals vitals{};
    base::TimePoint heard{};
    std::optional<Rates> rates{};  // after two reports since its start
  };

  // Applies a change of the directory; ignores other keys. Malformed vitals are an error and count
  // as absent.
  base::Status apply(const cluster::KeyChanged& change, base::TimePoint now);

  // Null for a process that has reported nothing or has gone.
  const Entry* find(const std::string& name) const;

 private:
  std::map<std::string, Entry> entries_;  // bounded, as the directory is
};

}  // namespace canopy::broker
