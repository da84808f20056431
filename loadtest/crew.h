// The harness's workers of one step, seen from the parent. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "loadtest/channel.h"
#include "loadtest/child.h"
#include "loadtest/ledger.h"
#include "loadtest/worker.h"
#include "loadtest/worker_report.h"

namespace canopy::loadtest {

class Crew {
 public:
  struct Count {
    std::uint64_t joined = 0, failed = 0, delivered = 0, converged = 0;
  };

  // Forks plan.workers of them.
  static base::Result<Crew> start(WorkerPlan plan);

  std::vector<pid_t> pids() const;
  void send(const nlohmann::json& message);

  // Until `done` or `patience_us` is over, which is no error; fails when a worker dies or the user
  // interrupts. `done` is asked after each message and a few times a second.
  base::Status wait(std::int64_t patience_us, const std::function<bool()>& done);

  // The last that was heard, summed up.
  Count progress() const;
  bool all_counted() const;
  // Into one counter per writer.
  void add_counters(Outcome& outcome) const;
  bool all_reported() const;
  WorkerReport merged_report() const;

 private:
  struct Worker {
    Child process{};
    Channel channel{-1};
    Count count{};
    using Counters = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
    std::optional<Counters> counters{};  // by publisher
    Counters doubtful{};
    std::optional<WorkerReport> report{};
    std::string error{};
  };

  base::Status read(Worker& worker);

  std::vector<Worker> workers_;
};

// Ctrl-C and TERM end the step under way instead of the process.
void catch_interrupts();
bool interrupted();

}  // namespace canopy::loadtest
