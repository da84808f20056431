#include "loadtest/step.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>

#include "loadtest/loader.h"
#include "loadtest/measure/clock.h"
#include "loadtest/worker_pool.h"

namespace canopy::loadtest {
namespace {

// Timeout of a worker's answer; it may have a backlog of updates.
constexpr std::int64_t answer_us = 30 * measure::second_us;

std::uint64_t random_run() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

// Bound of settling while updates still arrive, in settling times.
constexpr std::int64_t max_settling = 6;

// The part of a step after the start of its workers.
class Step {
 public:
  Step(const Options& options, const Layout& layout, const Target& target, WorkerPool& pool,
       Progress& progress)
      : options_(options),
        layout_(layout),
        clients_(layout.clients()),
        pool_(pool),
        progress_(progress),
        probe_(target.processes, pool.pids()) {}

  base::Status run() {
    for (const auto part : {&Step::join, &Step::measure, &Step::settle, &Step::collect}) {
      if (auto done = (this->*part)(); !done) return done;
    }
    return {};
  }

  ClusterProbe& probe() { return probe_; }
  // The counter of each publisher's last update.
  std::vector<std::uint32_t> published() const {
    return {expected_.counters.begin(), expected_.counters.begin() + layout_.publishers()};
  }

 private:
  base::Status join() {
    const double timeout_s =
        static_cast<double>(clients_) / options_.rate + options_.join_timeout_s + 10;
    return pool_.wait(static_cast<std::int64_t>(timeout_s * 1e6), [&] {
      const auto count = pool_.progress();
      progress_.show("joining", count.joined + count.failed, clients_);
      return count.joined + count.failed >= clients_;
    });
  }

  base::Status measure() {
    probe_.begin();
    pool_.send({{"type", "measure"}});
    const std::int64_t start = measure::now_us();
    const std::int64_t length = options_.duration_s * measure::second_us;
    std::int64_t next_observation = start + measure::second_us;
    auto measured = pool_.wait(length, [&] {
      const std::int64_t now = measure::now_us();
      if (now >= next_observation) {
        probe_.observe();
        next_observation += measure::second_us;
      }
      progress_.show("measuring", static_cast<std::uint64_t>((now - start) / 1000),
                     static_cast<std::uint64_t>(length / 1000));
      return false;
    });
    probe_.end();
    return measured;
  }

  base::Status settle() {
    pool_.send({{"type", "stop"}});
    auto answered = pool_.wait(answer_us, [&] { return pool_.all_counted(); });
    if (!answered) return answered;
    if (!pool_.all_counted()) return base::Error{"a worker did not answer"};
    expected_.counters.assign(layout_.writers(), 1);  // of loaded keys
    pool_.add_counters(expected_);
    pool_.send({{"type", "expected"},
                {"counters", expected_.counters},
                {"unacknowledged", expected_.unacknowledged}});
    // A late update is not lost: the time counts from the last delivery.
    const std::int64_t settling_us = options_.settle_s * measure::second_us;
    std::uint64_t delivered = 0;
    std::int64_t last_delivery = measure::now_us();
    auto settled = pool_.wait(max_settling * settling_us, [&] {
      const auto count = pool_.progress();
      progress_.show("settling", count.converged, clients_);
      if (std::exchange(delivered, count.delivered) != count.delivered)
        last_delivery = measure::now_us();
      if (measure::now_us() - last_delivery > settling_us) return true;
      return count.failed < clients_ && count.converged >= clients_ - count.failed;
    });
    if (!settled) return settled;
    // Repeated updates may arrive late.
    return pool_.wait(measure::second_us / 2, [] { return false; });
  }

  base::Status collect() {
    pool_.send({{"type", "finish"}});
    auto answered = pool_.wait(answer_us, [&] { return pool_.all_reported(); });
    if (!answered) return answered;
    if (!pool_.all_reported()) return base::Error{"a worker did not report"};
    return {};
  }

  const Options& options_;
  const Layout& layout_;
  const std::uint64_t clients_;
  WorkerPool& pool_;
  Progress& progress_;
  ClusterProbe probe_;
  Outcome expected_;
};

}  // namespace

double StepResult::updates_per_s() const {
  return totals.window_s > 0 ? static_cast<double>(totals.window_sent) / totals.window_s : 0;
}

double StepResult::deliveries_per_s() const {
  return totals.window_s > 0 ? static_cast<double>(totals.window_delivered) / totals.window_s : 0;
}

std::uint64_t StepResult::not_converged() const {
  return static_cast<std::uint64_t>(clients) - totals.converged;
}

std::optional<double> StepResult::cpu_percent() const {
  std::optional<double> sum;
  for (const auto& process : processes) {
    if (process.cpu_percent != unknown) sum = sum.value_or(0) + process.cpu_percent;
  }
  return sum;
}

const ProcessUsage* StepResult::fullest() const {
  const ProcessUsage* found = nullptr;
  for (const auto& process : processes) {
    if (!process.descriptors_known()) continue;
    if (found == nullptr || process.descriptor_share() > found->descriptor_share()) {
      found = &process;
    }
  }
  return found;
}

int worker_count(const Options& options) {
  if (options.workers > 0) return options.workers;
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 2u));
}

base::Status check_descriptors(const Options& options, int clients, std::uint64_t limit) {
  const int workers = worker_count(options);
  const auto share = static_cast<std::uint64_t>((clients + workers - 1) / workers);
  const auto check = [&](const char* what, std::uint64_t needed, std::uint64_t bound) {
    if (needed <= bound) return base::Status();
    return base::Status(
        base::Error{fmt::format("{} clients need {} {} in each of {} workers, the limit is {}",
                                clients, needed, what, workers, bound)});
  };
  // Beside the clients: epoll, the timers, libzmq's own, the connection to the parent.
  constexpr std::uint64_t other_descriptors = 64;
  // A native client has one connection. A Clone client has three sockets, of two descriptors each.
  const std::uint64_t per_client = options.dialect ? 6 : 1;
  if (auto fits = check("descriptors", per_client * share + other_descriptors, limit); !fits)
    return fits;
  constexpr std::uint64_t max_zmq_sockets = 65'535;  // of one context
  return check("libzmq sockets", zmq_sockets(options, share), max_zmq_sockets);
}

base::Result<StepResult> run_step(const Options& options, int clients, const Target& target,
                                  Progress& progress) {
  const auto layout = Layout::make(options, static_cast<std::uint32_t>(clients));
  if (!layout) return base::Error{layout.error()};
  AckTable acks(layout->writers());
  WorkerPlan plan{.options = options,
                  .layout = *layout,
                  .target = target,
                  .acks = acks,
                  .run = random_run(),
                  .workers = static_cast<std::uint32_t>(worker_count(options))};
  progress.begin(target.name + ", " + std::to_string(clients) + " clients");
  if (options.keys_loaded > 0) {
    if (auto loaded = load_keys(plan); !loaded) return base::Error{loaded.error()};
  }
  const MetricsProbe metrics(target.processes);
  // Time for all workers to start before the first client joins.
  plan.start_us = measure::now_us() + measure::second_us / 5;
  auto pool = WorkerPool::start(plan);
  if (!pool) return base::Error{pool.error()};
  Step step(options, *layout, target, *pool, progress);
  const auto done = step.run();
  progress.end();
  if (!done) return base::Error{done.error()};

  StepResult result{.target = target.name, .native = !options.dialect, .clients = clients};
  result.totals = pool->merged_report();
  result.served = count_served(result.totals, step.published());
  result.processes = step.probe().processes();
  result.harness = step.probe().harness();
  result.figures = metrics.figures();
  if (options.keys_loaded > 0) {
    if (auto unloaded = unload_keys(plan); !unloaded) return base::Error{unloaded.error()};
  }
  return result;
}

}  // namespace canopy::loadtest
