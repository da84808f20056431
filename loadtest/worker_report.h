// A worker's report at the end of a step, and the merged report of all workers. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "loadtest/client_stats.h"
#include "loadtest/ledger.h"
#include "loadtest/measure/histogram.h"

namespace canopy::loadtest {

struct WorkerReport {
  std::uint64_t sent = 0;           // updates, over the whole step
  std::uint64_t blocked_sends = 0;  // updates not sent because the client's queue was full
  std::uint64_t delivered = 0;      // live updates received, over the whole step
  double window_s = 0;              // duration of the measurement, and updates within it
  std::uint64_t window_sent = 0;
  std::uint64_t window_delivered = 0;
  std::uint64_t joins = 0;         // snapshots completed
  std::uint64_t rejoins = 0;       // of these: by clients that had left
  std::uint64_t converged = 0;     // clients that ended with the expected map
  std::uint64_t losing = 0;        // clients that lost updates
  std::int64_t all_joined_us = 0;  // from the start of the run to the last snapshot
  Faults faults{};
  ClientStats stats{};
  measure::Histogram latency{};
  measure::Histogram join{};
  measure::Histogram write{};
  std::vector<std::uint32_t> receivers{};  // clients that joined and received updates
  std::vector<std::uint32_t> senders{};    // publishers whose updates arrived at a client

  // Adds the report of another worker; `receivers` and `senders` become the unions.
  void merge(const WorkerReport& other);
};

nlohmann::json to_json(const WorkerReport& report);
WorkerReport parse_worker_report(const nlohmann::json& json);

// The number of receivers whose own updates arrived. A client that published none also counts;
// `published` holds the counter of each publisher's last update.
std::uint64_t count_served(const WorkerReport& merged, const std::vector<std::uint32_t>& published);

}  // namespace canopy::loadtest
