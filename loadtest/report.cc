#include "loadtest/report.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "loadtest/validators.h"

namespace canopy::loadtest {
namespace {

constexpr double most_descriptors = 0.9;

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

template <double LatencySummary::*Part>
std::string latency_cell(const StepResult& step) {
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
    {"avg ms", 7, latency_cell<&LatencySummary::avg>},
    {"min", 6, latency_cell<&LatencySummary::min>},
    {"p50", 6, latency_cell<&LatencySummary::p50>},
    {"p95", 6, latency_cell<&LatencySummary::p95>},
    {"p99", 6, latency_cell<&LatencySummary::p99>},
    {"max", 6, latency_cell<&LatencySummary::max>},
    {"cpu %", 6,
     [](const StepResult& s) {
       const auto cpu = s.cpu_percent();
       return cpu ? whole(*cpu) : std::string("-");
     }},
    {"most fds", 10, descriptors_cell},
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
    for (const Validator& validator : validators) {
      const auto violations = validator.violations(step).value_or(0);
      if (violations == 0) continue;
      verdict.reasons.push_back(where(step) +
                                fmt::format("{} violated {} times", validator.name, violations));
    }
    count(step.totals.faults.corrupted, "corrupted");
    count(step.totals.told.refused, "writes refused");
    count(step.totals.told.unanswered, "writes not answered");
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
  const std::string publishers =
      o.publishers ? fmt::format("{} publishers", *o.publishers) : std::string("each client");
  const std::string pace = o.window > 0
                               ? fmt::format("{} updates under way", o.window)
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
  if (totals.joins == 0) return "nobody joined";
  const auto join = totals.join.summary();
  std::string line = fmt::format(
      "{} joins, snapshot p50 {} ms, p99 {} ms, max {} ms; the last was whole {:.2f} s after the "
      "first was asked for",
      totals.joins, milliseconds(join.p50), milliseconds(join.p99), milliseconds(join.max),
      static_cast<double>(totals.all_joined_us) / 1e6);
  if (totals.rejoins > 0) line += fmt::format("; {} of clients that had left", totals.rejoins);
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

std::string told_line(const Told& told) {
  return fmt::format(
      "told: {} gaps, {} updates missed ({} gaps without a number); resyncs {} by changes, {} "
      "full, "
      "{} updates overtaken; {} losses of contact",
      told.gaps, told.missed, told.uncounted, told.by_changes, told.by_full, told.overtaken,
      told.losses);
}

std::string writes_line(const StepResult& step) {
  if (step.totals.write.count() == 0) return "no writes in the measured time";
  const auto write = step.totals.write.summary();
  const Told& told = step.totals.told;
  return fmt::format(
      "writes acknowledged: avg {} ms, p50 {}, p99 {}, max {}; {} repeated, {} refused, {} not "
      "answered",
      milliseconds(write.avg), milliseconds(write.p50), milliseconds(write.p99),
      milliseconds(write.max), told.repeats, told.refused, told.unanswered);
}

std::string figures_line(const StepResult& step) {
  std::string line;
  for (const Figure& figure : step.figures) {
    if (figure.total == 0) continue;
    line += line.empty() ? "cluster, in this step of all: " : ", ";
    line += fmt::format("{} {:.0f}/{:.0f}", figure.name, figure.during, figure.total);
  }
  return line;
}

}  // namespace

std::string table_details(const StepResult& step) {
  std::string lines;
  const auto say = [&](const std::string& text) {
    if (!text.empty()) lines += "    " + text + '\n';
  };
  say(processes_line(step));
  say(joins_line(step));
  say(validators_line(step));
  if (step.native) {
    say(told_line(step.totals.told));
    say(writes_line(step));
  }
  say(figures_line(step));
  const auto& faults = step.totals.faults;
  if (faults.lost > 0) {
    say(fmt::format("lost by {} clients; {} of them between snapshot and first update",
                    step.totals.losing, faults.lost_at_join));
  }
  if (faults.corrupted > 0) say(fmt::format("{} corrupted", faults.corrupted));
  if (step.totals.blocked_sends > 0) {
    say(fmt::format("{} updates not sent: too many of their publisher's waited already",
                    step.totals.blocked_sends));
  }
  if (step.harness_saturated()) {
    say(fmt::format("! the harness itself is saturated: a thread of it used {:.0f} % of a core",
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
