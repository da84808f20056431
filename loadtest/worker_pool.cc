#include "loadtest/worker_pool.h"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "loadtest/measure/clock.h"

namespace canopy::loadtest {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

void on_interrupt(int) { interrupt_seen = 1; }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // no SA_RESTART: waits end at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_seen != 0; }

base::Result<WorkerPool> WorkerPool::start(WorkerPlan plan) {
  WorkerPool pool;
  for (plan.index = 0; plan.index < plan.workers; ++plan.index) {
    auto [ours, theirs] = Channel::make();
    auto child = measure::Child::fork("loadtest-" + std::to_string(plan.index), [&, &end = theirs] {
      return run_worker(plan, std::move(end));
    });
    if (!child) return base::Error{child.error()};
    Worker& worker = pool.workers_.emplace_back();
    worker.process = std::move(*child);
    worker.channel = std::move(ours);
  }
  return pool;
}

std::vector<pid_t> WorkerPool::pids() const {
  std::vector<pid_t> pids;
  for (const auto& worker : workers_) pids.push_back(worker.process.pid());
  return pids;
}

void WorkerPool::send(const nlohmann::json& message) {
  for (auto& worker : workers_) worker.channel.send(message);
}

base::Status WorkerPool::wait(std::int64_t timeout_us, const std::function<bool()>& done) {
  const std::int64_t deadline = measure::now_us() + timeout_us;
  while (!done()) {
    const std::int64_t remaining = deadline - measure::now_us();
    if (remaining <= 0) return {};
    std::vector<pollfd> items;
    for (const auto& worker : workers_) {
      // A worker that has reported may exit.
      items.push_back({worker.report ? -1 : worker.channel.fd(), POLLIN, 0});
    }
    poll(items.data(), items.size(),
         static_cast<int>(std::clamp<std::int64_t>((remaining + 999) / 1000, 1, 250)));
    if (interrupted()) return base::Error{"interrupted"};
    for (auto& worker : workers_) {
      if (auto alive = read(worker); !alive) return alive;
    }
  }
  return {};
}

base::Status WorkerPool::read(Worker& worker) {
  while (const auto message = worker.channel.receive()) {
    const auto type = message->value("type", "");
    if (type == "progress") {
      worker.count.joined = message->at("joined").get<std::uint64_t>();
      worker.count.failed = message->at("failed").get<std::uint64_t>();
      worker.count.delivered = message->at("delivered").get<std::uint64_t>();
      worker.count.converged = message->at("converged").get<std::uint64_t>();
    } else if (type == "counters") {
      worker.counters.emplace();
      message->at("counters").get_to(*worker.counters);
      message->at("unacknowledged").get_to(worker.unacknowledged);
    } else if (type == "report") {
      worker.report = parse_worker_report(message->at("report"));
    } else if (type == "error") {
      worker.error = message->value("error", "");
    }
  }
  if (worker.channel.closed() && !worker.report) {
    return base::Error{"a worker process died" + (worker.error.empty() ? "" : ": " + worker.error)};
  }
  return worker.error.empty() ? base::Status() : base::Error{worker.error};
}

WorkerPool::Count WorkerPool::progress() const {
  Count sum;
  for (const auto& worker : workers_) {
    sum.joined += worker.count.joined;
    sum.failed += worker.count.failed;
    sum.delivered += worker.count.delivered;
    sum.converged += worker.count.converged;
  }
  return sum;
}

bool WorkerPool::all_counted() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const Worker& worker) { return worker.counters.has_value(); });
}

void WorkerPool::add_counters(Outcome& outcome) const {
  auto& [counters, unacknowledged] = outcome;
  for (const auto& worker : workers_) {
    for (const auto& [publisher, counter] : *worker.counters) counters.at(publisher) = counter;
    unacknowledged.insert(unacknowledged.end(), worker.unacknowledged.begin(),
                          worker.unacknowledged.end());
  }
  std::sort(unacknowledged.begin(), unacknowledged.end());
}

bool WorkerPool::all_reported() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const Worker& worker) { return worker.report.has_value(); });
}

WorkerReport WorkerPool::merged_report() const {
  WorkerReport merged;
  for (const auto& worker : workers_) merged.merge(*worker.report);
  return merged;
}

}  // namespace canopy::loadtest
