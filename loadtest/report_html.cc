#include "loadtest/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "loadtest/plot.h"
#include "loadtest/plot_style.h"
#include "loadtest/report_style.h"
#include "loadtest/validators.h"

namespace canopy::loadtest {
namespace {

using Steps = std::vector<const StepResult*>;
// A figure of a step; none when it is unknown.
using Measure = std::function<std::optional<Point>(const StepResult&)>;

// A target and its steps, by number of clients.
struct Line {
  std::string name{};
  Steps steps{};
};

std::vector<Line> lines_of(const std::vector<StepResult>& steps) {
  std::vector<Line> lines;
  for (const StepResult& step : steps) {
    auto found = std::ranges::find(lines, step.target, &Line::name);
    if (found == lines.end()) found = lines.insert(found, Line{.name = step.target});
    found->steps.push_back(&step);
  }
  for (Line& line : lines) std::ranges::stable_sort(line.steps, {}, &StepResult::clients);
  return lines;
}

Series series(std::string name, const Steps& steps, const Measure& measure) {
  Series made{.name = std::move(name)};
  for (const StepResult* step : steps) {
    if (auto point = measure(*step)) {
      point->x = step->clients;
      made.points.push_back(std::move(*point));
    }
  }
  return made;
}

LinePlot plot_of(const std::vector<Line>& lines, std::string title, std::string y_name,
                 const Measure& measure, std::optional<Limit> limit = {}) {
  LinePlot plot{.title = std::move(title),
                .x_name = "clients",
                .y_name = std::move(y_name),
                .limit = std::move(limit)};
  for (const Line& line : lines) plot.series.push_back(series(line.name, line.steps, measure));
  return plot;
}

std::string panel(const LinePlot& plot) {
  return "<div class=\"panel\">" + to_svg(plot) + "</div>";
}

std::optional<Point> served(const StepResult& step) {
  return Point{.y = static_cast<double>(step.served),
               .title = fmt::format("{} served", step.served)};
}

std::optional<Point> deliveries(const StepResult& step) {
  return Point{.y = step.deliveries_per_s(),
               .title = fmt::format("{} deliveries/s of {} updates/s, {} lost",
                                    figure(step.deliveries_per_s()), figure(step.updates_per_s()),
                                    step.totals.faults.lost)};
}

std::optional<Point> cpu(const StepResult& step) {
  const auto percent = step.cpu_percent();
  if (!percent) return std::nullopt;
  return Point{.y = *percent, .title = figure(*percent) + " % of a core"};
}

std::optional<Point> descriptors(const StepResult& step) {
  const ProcessUsage* process = step.fullest();
  if (process == nullptr) return std::nullopt;
  return Point{.y = 100 * process->descriptor_share(),
               .title = fmt::format("{} uses {} of {}", process->name,
                                    figure(static_cast<double>(process->open_descriptors)),
                                    figure(static_cast<double>(process->max_descriptors)))};
}

template <double measure::LatencySummary::*Part>
std::optional<Point> latency(const StepResult& step) {
  if (step.totals.latency.count() == 0) return std::nullopt;
  const double ms = step.totals.latency.summary().*Part;
  return Point{.y = ms, .title = figure(ms) + " ms"};
}

std::string latency_plot(const Line& line) {
  LinePlot plot{
      .title = "Latency, " + line.name, .x_name = "clients", .y_name = "ms", .logarithmic = true};
  plot.series = {series("p50", line.steps, latency<&measure::LatencySummary::p50>),
                 series("p95", line.steps, latency<&measure::LatencySummary::p95>),
                 series("p99", line.steps, latency<&measure::LatencySummary::p99>),
                 series("max", line.steps, latency<&measure::LatencySummary::max>)};
  return panel(plot);
}

// Each figure over the number of clients; empty when every target ran one step.
std::string ramp(const std::vector<Line>& lines) {
  if (std::ranges::none_of(lines, [](const Line& line) { return line.steps.size() > 1; }))
    return "";
  std::string html = "<section><h2>The ramp</h2><div class=\"plots\">" +
                     panel(plot_of(lines, "Throughput", "deliveries/s", deliveries));
  for (const Line& line : lines) html += latency_plot(line);
  html += panel(plot_of(lines, "CPU of the servers", "% of a core", cpu));
  html += panel(plot_of(lines, "Descriptors of the fullest process", "% of its limit", descriptors,
                        Limit{.name = "limit", .y = 100}));
  return html + "</div></section>";
}

std::string latency_bars(const StepResult& step) {
  BarPlot plot{.title = "Latency of deliveries", .unit = "ms"};
  if (step.totals.latency.count() > 0) {
    const measure::LatencySummary ms = step.totals.latency.summary();
    plot.bars = {{.name = "least", .value = ms.min}, {.name = "mean", .value = ms.avg},
                 {.name = "p50", .value = ms.p50},   {.name = "p95", .value = ms.p95},
                 {.name = "p99", .value = ms.p99},   {.name = "greatest", .value = ms.max}};
  }
  return to_svg(plot);
}

std::string cpu_bars(const StepResult& step) {
  BarPlot plot{.title = "CPU by process", .unit = "% of a core"};
  for (const ProcessUsage& process : step.processes) {
    const bool is_known = process.cpu_percent != unknown;
    plot.bars.push_back({.name = process.name,
                         .value = is_known ? std::optional(process.cpu_percent) : std::nullopt,
                         .text = is_known ? figure(process.cpu_percent) + " %" : "not known"});
  }
  return to_svg(plot);
}

std::string descriptor_bars(const StepResult& step) {
  BarPlot plot{.title = "Descriptors by process, of its limit", .unit = ""};
  for (const ProcessUsage& process : step.processes) {
    Bar bar{.name = process.name, .text = "not known"};
    if (process.descriptors_known()) {
      bar.value = static_cast<double>(process.open_descriptors);
      bar.limit = static_cast<double>(process.max_descriptors);
      bar.text = figure(*bar.value) + " of " + figure(*bar.limit);
    }
    plot.bars.push_back(std::move(bar));
  }
  return to_svg(plot);
}

// The figures of a target's largest step, by process.
std::string peak(const Line& line) {
  const StepResult& step = *line.steps.back();
  return fmt::format(
      "<section><h2>{} at {} clients</h2><div class=\"plots\"><div class=\"panel\">{}</div>"
      "<div class=\"panel\">{}</div><div class=\"panel\">{}</div></div></section>",
      escape(line.name), figure(step.clients), latency_bars(step), cpu_bars(step),
      descriptor_bars(step));
}

// A row of figures, labelled by `heads` for narrow screens; without `heads`, the row of heads.
std::string cells(const std::vector<std::string>& row, const std::vector<std::string>& heads = {}) {
  if (heads.empty()) {
    std::string html;
    for (const std::string& cell : row) html += "<th scope=\"col\">" + escape(cell) + "</th>";
    return "<tr>" + html + "</tr>";
  }
  std::string html = "<th scope=\"row\">" + escape(row.front()) + "</th>";
  for (std::size_t i = 1; i < row.size(); ++i) {
    html += fmt::format("<td data-label=\"{}\">{}</td>", escape(heads[i]), escape(row[i]));
  }
  return "<tr>" + html + "</tr>";
}

std::string table(const std::string& title, const std::vector<std::string>& heads,
                  const std::vector<std::vector<std::string>>& rows) {
  std::string html = fmt::format(
      "<section><h2>{0}</h2><div class=\"scroll panel\"><table><thead>{1}</thead><tbody>",
      escape(title), cells(heads));
  for (const auto& row : rows) html += cells(row, heads);
  return html + "</tbody></table></div></section>";
}

std::string step_table(const std::vector<StepResult>& steps) {
  std::vector<std::vector<std::string>> rows;
  for (const StepResult& step : steps) rows.push_back(table_cells(step));
  return table("Steps", table_heads(), rows);
}

std::string validator_table(const std::vector<StepResult>& steps) {
  std::vector<std::string> heads{"target", "clients"};
  for (const Validator& validator : validators) heads.emplace_back(validator.name);
  std::vector<std::vector<std::string>> rows;
  for (const StepResult& step : steps) {
    auto& row = rows.emplace_back(std::vector<std::string>{step.target, figure(step.clients)});
    for (const Validator& validator : validators) {
      const auto violations = validator.violations(step);
      row.push_back(violations ? figure(static_cast<double>(*violations)) : "-");
    }
  }
  return table("Violations", heads, rows);
}

std::string details(const std::vector<StepResult>& steps) {
  std::string html = "<section><h2>Details</h2>";
  for (const StepResult& step : steps) {
    html += fmt::format("<details class=\"panel\"><summary>{}, {} clients</summary>",
                        escape(step.target), figure(step.clients));
    const std::string lines = table_details(step);
    for (std::size_t at = 0; at < lines.size();) {
      const std::size_t end = std::min(lines.find('\n', at), lines.size());
      html += "<p>" + escape(std::string_view(lines).substr(at, end - at)) + "</p>";
      at = end + 1;
    }
    html += "</details>";
  }
  return html + "</section>";
}

std::string verdict_panel(const Options& options, const Verdict& verdict) {
  std::string html = fmt::format("<p class=\"verdict {}\"><strong>{}</strong></p>",
                                 verdict.pass() ? "pass" : "fail",
                                 verdict.pass() ? "✓ PASS: no violation; all converged" : "✕ FAIL");
  if (!verdict.pass()) {
    html += "<ul>";
    for (const std::string& reason : verdict.reasons) html += "<li>" + escape(reason) + "</li>";
    html += "</ul>";
  }
  if (options.compare)
    html += "<p class=\"quiet\">The verdict is on the cluster, not on the baseline.</p>";
  return html;
}

}  // namespace

std::string to_html(const Options& options, const std::vector<StepResult>& steps,
                    const Verdict& verdict, const std::string& when) {
  const std::vector<Line> lines = lines_of(steps);
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>Canopy load test</title>\n<style>" +
      std::string(plot_style) + std::string(report_style) +
      "</style>\n</head>\n<body>\n<header><h1>Canopy load test</h1>" + "<p class=\"quiet\">" +
      escape("canopy-loadtest " CANOPY_VERSION ", " + when) + "</p><p>" +
      escape(describe_load(options)) + "</p>" + verdict_panel(options, verdict) +
      "</header>\n<main>\n" + ramp(lines);
  for (const Line& line : lines) html += peak(line) + "\n";
  html += step_table(steps) + "\n" + validator_table(steps) + "\n" + details(steps);
  return html + "\n</main>\n</body>\n</html>\n";
}

std::string to_svg(const std::vector<StepResult>& steps) {
  std::vector<Line> lines = lines_of(steps);
  // Native clients have the same figures as Clone clients: their line would cover the other.
  if (std::ranges::find(lines, "cluster", &Line::name) != lines.end()) {
    std::erase_if(lines, [](const Line& line) { return line.name == "native"; });
  }
  for (Line& line : lines) {
    if (line.name == "baseline") line.name = "plain Clone server";
    if (line.name == "cluster") line.name = "Canopy";
  }
  return to_picture({plot_of(lines, "Clients served", "clients", served),
                     plot_of(lines, "Deliveries per second", "deliveries/s", deliveries)});
}

}  // namespace canopy::loadtest
