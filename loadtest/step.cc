#include "loadtest/step.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>

#include "loadtest/crew.h"
#include "loadtest/loader.h"
#include "loadtest/machine.h"

namespace canopy::loadtest {
namespace {

// What a worker gets to answer, deep in a backlog as it may be.
constexpr std::int64_t answer_us = 30 * second_us;

std::uint64_t random_run() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

// However slowly the last updates trickle in: this many times the settling time.
constexpr std::int64_t most_settling = 6;

// The part of a step that follows the start of its workers.
class Step {
 public:
  Step(const Options& options, const Layout& layout, const Target& target, Crew& crew,
       Progress& progress)
      : options_(options),
        layout_(layout),
        clients_(layout.clients()),
        crew_(crew),
        progress_(progress),
        probe_(target.processes, crew.pids()) {}

  base::Status run() {
    for (const auto part : {&Step::join, &Step::measure, &Step::settle, &Step::collect}) {
      if (auto done = (this->*part)(); !done) return done;
    }
    return {};
  }

  ClusterProbe& probe() { return probe_; }
  // What each publisher has written.
  std::vector<std::uint32_t> published() const {
    return {expected_.counters.begin(), expected_.counters.begin() + layout_.publishers()};
  }

 private:
  base::Status join() {
    const double patience_s =
        static_cast<double>(clients_) / options_.rate + options_.join_timeout_s + 10;
    return crew_.wait(static_cast<std::int64_t>(patience_s * 1e6), [&] {
      const auto count = crew_.progress();
      progress_.show("joining", count.joined + count.failed, clients_);
      return count.joined + count.failed >= clients_;
    });
  }

  base::Status measure() {
    probe_.begin();
    crew_.send({{"type", "measure"}});
    const std::int64_t start = now_us();
    const std::int64_t length = options_.duration_s * second_us;
    std::int64_t next_look = start + second_us;
    auto measured = crew_.wait(length, [&] {
      const std::int64_t now = now_us();
      if (now >= next_look) {
        probe_.observe();
        next_look += second_us;
      }
      progress_.show("measuring", static_cast<std::uint64_t>((now - start) / 1000),
                     static_cast<std::uint64_t>(length / 1000));
      return false;
    });
    probe_.end();
    return measured;
  }

  base::Status settle() {
    crew_.send({{"type", "stop"}});
    auto answered = crew_.wait(answer_us, [&] { return crew_.all_counted(); });
    if (!answered) return answered;
    if (!crew_.all_counted()) return base::Error{"a worker does not answer"};
    expected_.counters.assign(layout_.writers(), 1);  // as loaded keys have it
    crew_.add_counters(expected_);
    crew_.send(
        {{"type", "expected"}, {"counters", expected_.counters}, {"doubtful", expected_.doubtful}});
    // Late is not lost: the time counts from the last delivery.
    const std::int64_t patience = options_.settle_s * second_us;
    std::uint64_t delivered = 0;
    std::int64_t last_delivery = now_us();
    auto settled = crew_.wait(most_settling * patience, [&] {
      const auto count = crew_.progress();
      progress_.show("settling", count.converged, clients_);
      if (std::exchange(delivered, count.delivered) != count.delivered) last_delivery = now_us();
      if (now_us() - last_delivery > patience) return true;
      return count.failed < clients_ && count.converged >= clients_ - count.failed;
    });
    if (!settled) return settled;
    // What comes once too often comes late.
    return crew_.wait(second_us / 2, [] { return false; });
  }

  base::Status collect() {
    crew_.send({{"type", "finish"}});
    auto answered = crew_.wait(answer_us, [&] { return crew_.all_reported(); });
    if (!answered) return answered;
    if (!crew_.all_reported()) return base::Error{"a worker does not report"};
    return {};
  }

  const Options& options_;
  const Layout& layout_;
  const std::uint64_t clients_;
  Crew& crew_;
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

base::Status check_descriptors(int clients, int workers, std::uint64_t limit) {
  // Three sockets and three connections each; of a native client two and two, and half as much
  // again while it changes proxies. The context, epoll and the rest.
  const auto share = static_cast<std::uint64_t>((clients + workers - 1) / workers);
  const std::uint64_t needed = 6 * share + 64;
  if (needed > limit) {
    return base::Error{std::to_string(clients) + " clients need " + std::to_string(needed) +
                       " descriptors in each of " + std::to_string(workers) +
                       " workers, the limit is " + std::to_string(limit)};
  }
  constexpr std::uint64_t most_sockets = 65'535;  // of one libzmq context
  if (6 * share + 16 > most_sockets) {
    return base::Error{std::to_string(clients) + " clients need " + std::to_string(6 * share + 16) +
                       " sockets in each of " + std::to_string(workers) + " workers, libzmq has " +
                       std::to_string(most_sockets)};
  }
  return {};
}

base::Result<StepResult> run_step(const Options& options, int clients, const Target& target,
                                  Progress& progress) {
  const auto layout = Layout::make(options, static_cast<std::uint32_t>(clients));
  if (!layout) return base::Error{layout.error()};
  Board board(layout->writers());
  WorkerPlan plan{.options = options,
                  .layout = *layout,
                  .target = target,
                  .board = board,
                  .run = random_run(),
                  .workers = static_cast<std::uint32_t>(worker_count(options))};
  progress.begin(target.name + ", " + std::to_string(clients) + " clients");
  if (options.keys_loaded > 0) {
    if (auto loaded = load_keys(plan); !loaded) return base::Error{loaded.error()};
  }
  const MetricsProbe metrics(target.processes);
  // A little ahead, so that every worker is there when the first client joins.
  plan.start_us = now_us() + second_us / 5;
  auto crew = Crew::start(plan);
  if (!crew) return base::Error{crew.error()};
  Step step(options, *layout, target, *crew, progress);
  const auto done = step.run();
  progress.end();
  if (!done) return base::Error{done.error()};

  StepResult result{.target = target.name, .native = !options.dialect, .clients = clients};
  result.totals = crew->merged_report();
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
