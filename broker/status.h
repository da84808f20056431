// The document behind the status page: the topology with the vitals of each process. Pure. Format:
// docs/reference/http.md.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "broker/topology.h"
#include "broker/vitals.h"

namespace canopy::broker {

// The broker's own state at `now`.
struct Moment {
  base::TimePoint now{};
  base::TimePoint started{};
  std::uint64_t fds = 0;
  std::uint64_t max_fds = 0;
  bool stopping = false;
};

// The document of topology_json(), with the vitals of each process added. Unknown fields are null.
// Revisions are split into epoch and counter: JavaScript's numbers have 53 bits.
std::string status_json(const config::Cluster& cluster, const Members& members, const Self& self,
                        const VitalsBook& vitals, const Moment& moment);

}  // namespace canopy::broker
