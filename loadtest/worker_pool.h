// The worker processes of one step: the parent starts them, sends to them and collects their
// reports. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "loadtest/channel.h"
#include "loadtest/ledger.h"
#include "loadtest/measure/child.h"
#include "loadtest/worker.h"
#include "loadtest/worker_report.h"

namespace canopy::loadtest {

class WorkerPool {
 public:
  struct Count {
    std::uint64_t joined = 0, failed = 0, delivered = 0, converged = 0;
  };

  // Forks plan.workers processes.
  static base::Result<WorkerPool> start(WorkerPlan plan);

  std::vector<pid_t> pids() const;
  void send(const nlohmann::json& message);

  // Returns when `done` holds or after `timeout_us`, which is no error. Fails when a worker dies or
  // the user interrupts. Evaluates `done` after each message and at least four times a second.
  base::Status wait(std::int64_t timeout_us, const std::function<bool()>& done);

  // The sum of the workers' last progress messages.
  Count progress() const;
  bool all_counted() const;
  // Adds the writers' last counters and the unacknowledged updates.
  void add_counters(Outcome& outcome) const;
  bool all_reported() const;
  WorkerReport merged_report() const;

 private:
  struct Worker {
    measure::Child process{};
    Channel channel{-1};
    Count count{};
    using Counters = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
    std::optional<Counters> counters{};  // by publisher
    Counters unacknowledged{};
    std::optional<WorkerReport> report{};
    std::string error{};
  };

  base::Status read(Worker& worker);

  std::vector<Worker> workers_;
};

// After this call, Ctrl-C and TERM end the current step instead of the process.
void catch_interrupts();
bool interrupted();

}  // namespace canopy::loadtest
