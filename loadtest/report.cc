#include "loadtest/report.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "loadtest/validators.h"

namespace canopy::loadtest {
namespace {

constexpr double max_descriptor_share = 0.9;

template <typename Number>
std::string whole(Number number) {
  return fmt::format("{:.0f}", static_cast<double>(number));
}

std::string milliseconds(double ms) { return ms < 100 ? fmt::format("{:.2f}", ms) : whole(ms); }

std::string descriptors_cell(const StepResult& step) {
  const auto* process = step.fullest();
  if (process == nullptr) return "-";
  return fmt::format("{}/{}", process->open_descriptors, process->max_descriptors);
}

template <double measure::LatencySummary::*Part>
std::string latency_cell(const StepResult& step) {
  const auto& latency = step.totals.latency;
  return latency.count() == 0 ? "-" : milliseconds(latency.summary().*Part);
}

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
    {"avg ms", 7, latency_cell<&measure::LatencySummary::avg>},
    {"min", 6, latency_cell<&measure::LatencySummary::min>},
    {"p50", 6, latency_cell<&measure::LatencySummary::p50>},
    {"p95", 6, latency_cell<&measure::LatencySummary::p95>},
    {"p99", 6, latency_cell<&measure::LatencySummary::p99>},
    {"max", 6, latency_cell<&measure::LatencySummary::max>},
    {"cpu %", 6,
     [](const StepResult& s) {
       const auto cpu = s.cpu_percent();
       return cpu ? whole(*cpu) : std::string("-");
     }},
    {"max fds", 10, descriptors_cell},
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

Verdict evaluate(const std::vector<StepResult>& steps) {
  Verdict verdict;
  for (const auto& step : steps) {
    const auto count = [&](std::uint64_t number, const char* what) {
      if (number > 0) verdict.reasons.push_back(where(step) + fmt::format("{} {}", number, what));
    };
    count(static_cast<std::uint64_t>(step.clients) - step.served, "not served");
    for (const Validator& validator : validators) {
      const auto violations = validator.violations(step).value_or(0);
      if (violations == 0) continue;
      verdict.reasons.push_back(where(step) +
                                fmt::format("{} violated {} times", validator.name, violations));
    }
    count(step.totals.faults.corrupted, "corrupted");
    count(step.totals.stats.refused, "writes refused");
    count(step.totals.stats.unanswered, "writes not answered");
    for (const auto& process : step.processes) {
      if (process.descriptor_share() <= max_descriptor_share) continue;
      verdict.reasons.push_back(where(step) + fmt::format("{} uses {} of {} descriptors",
                                                          process.name, process.open_descriptors,
                                                          process.max_descriptors));
    }
  }
  return verdict;
}

std::string describe_load(const Options& o) {
  const std::string publishers =
      o.publishers ? fmt::format("{} publishers", *o.publishers) : std::string("each client");
  const std::string pace = o.window > 0
                               ? fmt::format("{} updates in flight", o.window)
                               : fmt::format("one update every {} ms ({})", o.period_ms,
                                             o.phase == Phase::spread ? "spread" : "together");
  return fmt::format(
      "{}{}, {}: {}, {} bytes, {}watching {}{}{}, {} s a step, {} workers",
      o.scenario.empty() ? "" : o.scenario + ": ",
      o.compare ? "kvsimple and native" : name(o.dialect), publishers, pace, o.payload_bytes,
      o.keys_loaded > 0 ? fmt::format("{} keys loaded, ", o.keys_loaded) : "",
      o.subtree.empty() ? "*" : o.subtree,
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

std::vector<std::string> table_heads() {
  std::vector<std::string> heads;
  for (const Column& column : columns) heads.emplace_back(column.head);
  return heads;
}

std::vector<std::string> table_cells(const StepResult& step) {
  std::vector<std::string> cells;
  for (const Column& column : columns) cells.push_back(column.value(step));
  return cells;
}

namespace {

std::string processes_line(const StepResult& step) {
  std::string line;
  for (const auto& process : step.processes) {
    if (!line.empty()) line += " · ";
    line += process.name;
    if (process.cpu_percent != unknown) line += fmt::format(" {:.0f} %", process.cpu_percent);
    if (process.descriptors_known()) {
      line += fmt::format(" {}/{} fds", process.open_descriptors, process.max_descriptors);
    }
  }
  return line;
}

std::string joins_line(const StepResult& step) {
  const auto& totals = step.totals;
  if (totals.joins == 0) return "no client joined";
  const auto join = totals.join.summary();
  std::string line = fmt::format(
      "{} joins, snapshot p50 {} ms, p99 {} ms, max {} ms; the last snapshot ended {:.2f} s after "
      "the start",
      totals.joins, milliseconds(join.p50), milliseconds(join.p99), milliseconds(join.max),
      static_cast<double>(totals.all_joined_us) / 1e6);
  if (totals.rejoins > 0) line += fmt::format("; {} by clients that had left", totals.rejoins);
  return line;
}

std::string validators_line(const StepResult& step) {
  std::string line = "violations:";
  for (const Validator& validator : validators) {
    const auto violations = validator.violations(step);
    line += fmt::format(" {} {}", validator.name,
                        violations ? std::to_string(*violations) : std::string("-"));
  }
  return line;
}

std::string stats_line(const ClientStats& stats) {
  return fmt::format(
      "{} gaps, {} updates missed ({} gaps without a number); resyncs: {} by changes, {} full, {} "
      "updates skipped; {} contact losses",
      stats.gaps, stats.missed, stats.uncounted, stats.by_changes, stats.by_full, stats.overtaken,
      stats.losses);
}

std::string writes_line(const StepResult& step) {
  if (step.totals.write.count() == 0) return "no writes in the measured time";
  const auto write = step.totals.write.summary();
  const ClientStats& stats = step.totals.stats;
  return fmt::format(
      "writes acknowledged: avg {} ms, p50 {}, p99 {}, max {}; {} repeated, {} refused, {} not "
      "answered",
      milliseconds(write.avg), milliseconds(write.p50), milliseconds(write.p99),
      milliseconds(write.max), stats.repeats, stats.refused, stats.unanswered);
}

std::string figures_line(const StepResult& step) {
  std::string line;
  for (const Figure& figure : step.figures) {
    if (figure.total == 0) continue;
    line += line.empty() ? "cluster, this step/since start: " : ", ";
    line += fmt::format("{} {:.0f}/{:.0f}", figure.name, figure.during, figure.total);
  }
  return line;
}

}  // namespace

std::string table_details(const StepResult& step) {
  std::string lines;
  const auto add = [&](const std::string& text) {
    if (!text.empty()) lines += "    " + text + '\n';
  };
  add(processes_line(step));
  add(joins_line(step));
  add(validators_line(step));
  if (step.native) {
    add(stats_line(step.totals.stats));
    add(writes_line(step));
  }
  add(figures_line(step));
  const auto& faults = step.totals.faults;
  if (faults.lost > 0) {
    add(fmt::format("lost by {} clients; {} between snapshot and first update", step.totals.losing,
                    faults.lost_at_join));
  }
  if (faults.corrupted > 0) add(fmt::format("{} corrupted", faults.corrupted));
  if (step.totals.blocked_sends > 0) {
    add(fmt::format("{} updates not sent because their publisher's queue was full",
                    step.totals.blocked_sends));
  }
  if (step.harness_saturated()) {
    add(fmt::format("! the load test is saturated: one of its threads used {:.0f} % of a core",
                    step.harness.busiest_thread_percent));
  }
  return lines;
}

std::string verdict_line(const Verdict& verdict) {
  if (verdict.pass()) return "PASS: no violation; all converged";
  std::string line = "FAIL: " + verdict.reasons.front();
  for (std::size_t i = 1; i < verdict.reasons.size(); ++i) line += "; " + verdict.reasons[i];
  return line;
}

}  // namespace canopy::loadtest
