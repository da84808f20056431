#include "loadtest/report.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

namespace canopy::loadtest {
namespace {

constexpr double most_descriptors = 0.9;

template <typename Number>
std::string whole(Number number) {
  return fmt::format("{:.0f}", static_cast<double>(number));
}

std::string milliseconds(double ms) { return ms < 100 ? fmt::format("{:.2f}", ms) : whole(ms); }

// The process that has come nearest to its limit of descriptors; null when none is known.
const ProcessUsage* fullest(const StepResult& step) {
  const ProcessUsage* found = nullptr;
  for (const auto& process : step.processes) {
    if (!process.descriptors_known()) continue;
    if (found == nullptr || process.descriptor_share() > found->descriptor_share()) {
      found = &process;
    }
  }
  return found;
}

// Of all processes whose figure is known; nothing when there is none.
std::optional<double> cpu_of_all(const StepResult& step) {
  std::optional<double> sum;
  for (const auto& process : step.processes) {
    if (process.cpu_percent != unknown) sum = sum.value_or(0) + process.cpu_percent;
  }
  return sum;
}

std::string descriptors(const StepResult& step) {
  const auto* process = fullest(step);
  if (process == nullptr) return "-";
  return fmt::format("{}/{}", process->open_descriptors, process->max_descriptors);
}

template <double LatencySummary::*Part>
std::string latency(const StepResult& step) {
  const auto& latency = step.totals.latency;
  return latency.count() == 0 ? "-" : milliseconds(latency.summary().*Part);
}

// One column of the table.
struct Column {
  const char* head;
  int width;  // below 0: aligned to the left
  std::string (*value)(const StepResult&);
};

const Column columns[] = {
    {"target", -8, [](const StepResult& s) { return s.target; }},
    {"clients", 7, [](const StepResult& s) { return whole(s.clients); }},
    {"served", 6, [](const StepResult& s) { return whole(s.served); }},
    {"upd/s", 6, [](const StepResult& s) { return whole(s.updates_per_s()); }},
    {"deliv/s", 8, [](const StepResult& s) { return whole(s.deliveries_per_s()); }},
    {"lost", 8, [](const StepResult& s) { return whole(s.totals.faults.lost); }},
    {"repeat", 6, [](const StepResult& s) { return whole(s.totals.faults.repeated); }},
    {"order", 6, [](const StepResult& s) { return whole(s.totals.faults.out_of_order); }},
    {"unconv", 6, [](const StepResult& s) { return whole(s.not_converged()); }},
    {"avg ms", 7, latency<&LatencySummary::avg>},
    {"min", 6, latency<&LatencySummary::min>},
    {"p50", 6, latency<&LatencySummary::p50>},
    {"p95", 6, latency<&LatencySummary::p95>},
    {"p99", 6, latency<&LatencySummary::p99>},
    {"max", 6, latency<&LatencySummary::max>},
    {"cpu %", 6,
     [](const StepResult& s) {
       const auto cpu = cpu_of_all(s);
       return cpu ? whole(*cpu) : std::string("-");
     }},
    {"most fds", 10, descriptors},
    {"load %", 7,
     [](const StepResult& s) {
       return whole(s.harness.cpu_percent) + (s.harness_saturated() ? "!" : "");
     }},
    {"machine", 7, [](const StepResult& s) { return whole(s.harness.machine_percent); }},
};

std::string table_line(const std::function<std::string(const Column&)>& cell) {
  std::string line;
  for (const auto& column : columns) {
    line += column.width < 0 ? fmt::format("{:<{}}", cell(column), -column.width)
                             : fmt::format(" {:>{}}", cell(column), column.width);
  }
  return line;
}

std::string where(const StepResult& step) {
  return fmt::format("{} at {} clients: ", step.target, step.clients);
}

}  // namespace

Verdict judge(const std::vector<StepResult>& steps) {
  Verdict verdict;
  for (const auto& step : steps) {
    const auto count = [&](std::uint64_t number, const char* what) {
      if (number > 0) verdict.reasons.push_back(where(step) + fmt::format("{} {}", number, what));
    };
    count(static_cast<std::uint64_t>(step.clients) - step.served, "not served");
    count(step.totals.faults.lost, "lost");
    count(step.totals.faults.repeated, "repeated");
    count(step.totals.faults.out_of_order, "out of order");
    count(step.totals.faults.corrupted, "corrupted");
    count(step.not_converged(), "not converged");
    for (const auto& process : step.processes) {
      if (process.descriptor_share() <= most_descriptors) continue;
      verdict.reasons.push_back(where(step) + fmt::format("{} uses {} of {} descriptors",
                                                          process.name, process.open_descriptors,
                                                          process.max_descriptors));
    }
  }
  return verdict;
}

std::string describe_load(const Options& o) {
  return fmt::format(
      "{}, one update every {} ms per client ({}), {} bytes, watching {}{}{}, {} s a step, {} "
      "workers",
      wire::clone::name(o.dialect), o.period_ms, o.phase == Phase::spread ? "spread" : "together",
      o.payload_bytes, o.subtree.empty() ? "*" : o.subtree,
      o.subtrees > 1 ? fmt::format(" in {} parts", o.subtrees) : "",
      o.churn > 0 ? fmt::format(", {} leave and join each {} s", o.churn, o.churn_period_s) : "",
      o.duration_s, worker_count(o));
}

std::string table_header() {
  return table_line([](const Column& column) { return std::string(column.head); });
}

std::string table_row(const StepResult& step) {
  return table_line([&](const Column& column) { return column.value(step); });
}

std::string table_details(const StepResult& step) {
  std::string lines;
  const auto say = [&](const std::string& text) { lines += "    " + text + '\n'; };
  std::string processes;
  for (const auto& process : step.processes) {
    if (!processes.empty()) processes += " · ";
    processes += process.name;
    if (process.cpu_percent != unknown) processes += fmt::format(" {:.0f} %", process.cpu_percent);
    if (process.descriptors_known()) {
      processes += fmt::format(" {}/{} fds", process.open_descriptors, process.max_descriptors);
    }
  }
  if (!processes.empty()) say(processes);

  const auto join = step.totals.join.summary();
  std::string joins =
      step.totals.joins == 0
          ? "nobody joined"
          : fmt::format("{} joins, snapshot p50 {} ms, p99 {} ms, max {} ms", step.totals.joins,
                        milliseconds(join.p50), milliseconds(join.p99), milliseconds(join.max));
  if (step.totals.rejoins > 0)
    joins += fmt::format("; {} of clients that had left", step.totals.rejoins);
  say(joins);
  const auto& faults = step.totals.faults;
  if (faults.lost > 0) {
    say(fmt::format("lost by {} clients; {} of them between snapshot and first update",
                    step.totals.losing, faults.lost_at_join));
  }
  if (faults.corrupted > 0) say(fmt::format("{} corrupted", faults.corrupted));
  if (step.totals.blocked_sends > 0) {
    say(fmt::format("{} updates not sent: the collector's queue was full",
                    step.totals.blocked_sends));
  }
  if (step.harness_saturated()) {
    say(fmt::format("! the harness itself is saturated: a thread of it used {:.0f} % of a core",
                    step.harness.busiest_thread_percent));
  }
  return lines;
}

std::string verdict_line(const Verdict& verdict) {
  if (verdict.pass()) return "PASS: nothing lost, repeated or out of order; all converged";
  std::string line = "FAIL: " + verdict.reasons.front();
  for (std::size_t i = 1; i < verdict.reasons.size(); ++i) line += "; " + verdict.reasons[i];
  return line;
}

namespace {

nlohmann::json to_json(const LatencySummary& latency) {
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
          {"join_ms", to_json(totals.join.summary())},
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
           {{"dialect", wire::clone::name(o.dialect)},
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
    const auto cpu = cpu_of_all(step);
    const auto* process = fullest(step);
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
