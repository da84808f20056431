// What a worker tells at the end, and how the reports of all workers become one. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "loadtest/histogram.h"
#include "loadtest/ledger.h"
#include "loadtest/told.h"

namespace canopy::loadtest {

struct WorkerReport {
  std::uint64_t sent = 0;           // updates, over the whole step
  std::uint64_t blocked_sends = 0;  // updates not sent: too many of the client's own wait already
  std::uint64_t delivered = 0;      // live updates received, over the whole step
  double window_s = 0;              // the measured time, and what happened in it
  std::uint64_t window_sent = 0;
  std::uint64_t window_delivered = 0;
  std::uint64_t joins = 0;         // snapshots completed
  std::uint64_t rejoins = 0;       // of these: of clients that had left
  std::uint64_t converged = 0;     // clients that ended with the exact map
  std::uint64_t losing = 0;        // clients that lost anything
  std::int64_t all_joined_us = 0;  // from the start of the run to its last snapshot
  Faults faults{};
  Told told{};
  Histogram latency{};
  Histogram join{};
  Histogram write{};
  std::vector<std::uint32_t> hearing{};  // clients that joined and saw what was sent
  std::vector<std::uint32_t> heard{};    // publishers of whom somebody saw an update

  // Adds the account of another worker. `hearing` and `heard` become the union.
  void merge(const WorkerReport& other);
};

nlohmann::json to_json(const WorkerReport& report);
WorkerReport parse_worker_report(const nlohmann::json& json);

// Clients that both hear and are heard. Who had nothing to say counts as heard: clients that do not
// publish, and publishers whose counter, one in `published` for each, is 0.
std::uint64_t count_served(const WorkerReport& merged, const std::vector<std::uint32_t>& published);

}  // namespace canopy::loadtest
