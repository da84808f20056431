#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loadtest/report.h"
#include "loadtest/validators.h"

namespace canopy::loadtest {
namespace {

nlohmann::json to_json(const measure::LatencySummary& latency) {
  return {{"avg", latency.avg}, {"min", latency.min}, {"p50", latency.p50},
          {"p95", latency.p95}, {"p99", latency.p99}, {"max", latency.max}};
}

nlohmann::json to_json(const StepResult& step) {
  auto processes = nlohmann::json::array();
  for (const auto& process : step.processes) {
    nlohmann::json entry{{"role", process.role},   {"name", process.name}, {"pid", process.pid},
                         {"cpu_percent", nullptr}, {"open_fds", nullptr},  {"max_fds", nullptr}};
    if (process.cpu_percent != unknown) entry["cpu_percent"] = process.cpu_percent;
    if (process.descriptors_known()) {
      entry["open_fds"] = process.open_descriptors;
      entry["max_fds"] = process.max_descriptors;
    }
    processes.push_back(std::move(entry));
  }
  const auto& totals = step.totals;
  auto violations = nlohmann::json::object();
  for (const Validator& validator : validators) {
    const auto count = validator.violations(step);
    violations[validator.name] = count ? nlohmann::json(*count) : nlohmann::json(nullptr);
  }
  auto figures = nlohmann::json::object();
  for (const Figure& figure : step.figures) {
    figures[figure.name] = {{"during", figure.during}, {"total", figure.total}};
  }
  auto stats = nlohmann::json::object();
  for (const auto& [name, count] : stat_names) stats[name] = totals.stats.*count;
  return {{"target", step.target},
          {"clients", step.clients},
          {"served", step.served},
          {"not_served", static_cast<std::uint64_t>(step.clients) - step.served},
          {"joins", totals.joins},
          {"rejoins", totals.rejoins},
          {"updates_per_second", step.updates_per_s()},
          {"deliveries_per_second", step.deliveries_per_s()},
          {"sent", totals.sent},
          {"blocked_sends", totals.blocked_sends},
          {"delivered", totals.delivered},
          {"lost", totals.faults.lost},
          {"clients_losing", totals.losing},
          {"lost_at_join", totals.faults.lost_at_join},
          {"repeated", totals.faults.repeated},
          {"out_of_order", totals.faults.out_of_order},
          {"corrupted", totals.faults.corrupted},
          {"not_converged", step.not_converged()},
          {"latency_ms", to_json(totals.latency.summary())},
          {"write_ms", to_json(totals.write.summary())},
          {"join_ms", to_json(totals.join.summary())},
          {"all_joined_s", static_cast<double>(totals.all_joined_us) / 1e6},
          {"validators", std::move(violations)},
          {"client_stats", std::move(stats)},
          {"cluster", std::move(figures)},
          {"processes", std::move(processes)},
          {"harness",
           {{"cpu_percent", step.harness.cpu_percent},
            {"busiest_thread_percent", step.harness.busiest_thread_percent},
            {"machine_percent", step.harness.machine_percent},
            {"saturated", step.harness_saturated()}}}};
}

}  // namespace

nlohmann::json to_json(const Options& o, const std::vector<StepResult>& steps,
                       const Verdict& verdict) {
  auto results = nlohmann::json::array();
  for (const auto& step : steps) results.push_back(to_json(step));
  return {{"tool", "canopy-loadtest"},
          {"version", CANOPY_VERSION},
          {"config",
           {{"dialect", name(o.dialect)},
            {"scenario", o.scenario},
            {"publishers", o.publishers ? nlohmann::json(*o.publishers) : nlohmann::json(nullptr)},
            {"window", o.window},
            {"keys_loaded", o.keys_loaded},
            {"rate", o.rate},
            {"period_ms", o.period_ms},
            {"payload_bytes", o.payload_bytes},
            {"subtree", o.subtree},
            {"subtrees", o.subtrees},
            {"phase", o.phase == Phase::spread ? "spread" : "together"},
            {"duration_s", o.duration_s},
            {"churn", o.churn},
            {"churn_period_s", o.churn_period_s},
            {"hwm", o.hwm},
            {"nofile", o.nofile},
            {"workers", worker_count(o)}}},
          {"steps", std::move(results)},
          {"verdict", {{"pass", verdict.pass()}, {"reasons", verdict.reasons}}}};
}

std::string to_csv(const std::vector<StepResult>& steps) {
  std::string text =
      "target,clients,served,updates_per_second,deliveries_per_second,lost,repeated,out_of_order,"
      "not_converged,latency_avg_ms,latency_min_ms,latency_p50_ms,latency_p95_ms,latency_p99_ms,"
      "latency_max_ms,cpu_percent,open_fds,max_fds,harness_cpu_percent,machine_percent\n";
  for (const auto& step : steps) {
    const auto& faults = step.totals.faults;
    const auto latency = step.totals.latency.summary();
    const auto cpu = step.cpu_percent();
    const auto* process = step.fullest();
    text += fmt::format("{},{},{},{:.1f},{:.1f},{},{},{},{}", step.target, step.clients,
                        step.served, step.updates_per_s(), step.deliveries_per_s(), faults.lost,
                        faults.repeated, faults.out_of_order, step.not_converged());
    text += fmt::format(",{:.3f},{:.3f},{:.3f},{:.3f},{:.3f},{:.3f}", latency.avg, latency.min,
                        latency.p50, latency.p95, latency.p99, latency.max);
    // Unknown figures stay empty.
    text += cpu ? fmt::format(",{:.1f}", *cpu) : ",";
    text += process == nullptr
                ? ",,"
                : fmt::format(",{},{}", process->open_descriptors, process->max_descriptors);
    text += fmt::format(",{:.1f},{:.1f}\n", step.harness.cpu_percent, step.harness.machine_percent);
  }
  return text;
}

}  // namespace canopy::loadtest
