#include "loadtest/metrics_probe.h"

#include <cstdlib>
#include <sstream>

#include "core/metrics/http_get.h"

namespace canopy::loadtest {
namespace {

struct Source {
  const char* name;
  const char* role;
  const char* counter;
  const char* label;
};

constexpr Source sources[] = {
    {"shard_snapshots", "shard", "canopy_snapshot_requests_total", "result=\"snapshot\""},
    {"shard_replays", "shard", "canopy_snapshot_requests_total", "result=\"replay\""},
    {"committed", "shard", "canopy_updates_committed_total", ""},
    {"native_fetches", "proxy", "canopy_snapshot_requests_total", "dialect=\"native\""},
    {"native_resyncs_changes", "proxy", "canopy_client_resyncs_total", "kind=\"changes\""},
    {"native_resyncs_full", "proxy", "canopy_client_resyncs_total", "kind=\"full\""},
    {"native_gaps", "proxy", "canopy_client_gaps_total", ""},
    {"dropped_to_clients", "proxy", "canopy_hwm_dropped_updates_total", "hop=\"proxy_to_client\""},
};
constexpr std::size_t source_count = std::size(sources);

}  // namespace

double sum_of(const std::string& metrics, const std::string& counter, const std::string& label) {
  double sum = 0;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(counter)) continue;
    const char after = line.size() > counter.size() ? line[counter.size()] : '\0';
    if (after != '{' && after != ' ') continue;  // another counter with a longer name
    const auto space = line.rfind(' ');
    if (line.substr(0, space).find(label) == std::string::npos) continue;
    sum += std::strtod(line.c_str() + space + 1, nullptr);
  }
  return sum;
}

MetricsProbe::MetricsProbe(std::vector<ProcessId> processes)
    : processes_(std::move(processes)), start_(read()) {}

MetricsProbe::Reading MetricsProbe::read() const {
  Reading reading;
  for (const ProcessId& process : processes_) {
    if (process.http.empty() || (process.role != "shard" && process.role != "proxy")) continue;
    const auto answer = metrics::http_get(process.http, "/metrics");
    if (!answer || answer->status != 200) continue;
    auto& values = reading[process.http];
    for (const Source& source : sources) {
      values.push_back(
          process.role == source.role ? sum_of(answer->body, source.counter, source.label) : 0);
    }
  }
  return reading;
}

std::vector<Figure> MetricsProbe::figures() const {
  const Reading end = read();
  if (end.empty()) return {};
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < source_count; ++i) {
    Figure figure{.name = sources[i].name};
    for (const auto& [address, values] : end) {
      const auto before = start_.find(address);
      // A restarted process counts from 0.
      const double from =
          before == start_.end() || before->second[i] > values[i] ? 0 : before->second[i];
      figure.total += values[i];
      figure.during += values[i] - from;
    }
    figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace canopy::loadtest
