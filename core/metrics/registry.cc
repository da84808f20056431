#include "core/metrics/registry.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/metrics/process.h"

namespace canopy::metrics {

Registry::Registry(const std::string& role, const std::string& name)
    : registry_(std::make_shared<prometheus::Registry>()),
      process_(std::make_unique<ProcessCollector>(role, name)) {
  Family<Counter>& reloads =
      counter("canopy_reloads_total", "Times that the configuration was read again, by result.");
  reloads_applied_ = &reloads.Add({{"result", "applied"}});
  reloads_refused_ = &reloads.Add({{"result", "refused"}});
  handshakes_refused_ =
      &counter("canopy_handshakes_refused_total", "Connections refused for their key, by reason.");
  closed_ = &counter("canopy_connections_closed_total",
                     "Connections that this process closed for cause, by reason.");
  // There from the start, so that the first one is seen as a change.
  for (const char* reason : {"frame_too_large", "handshake"}) closed_->Add({{"reason", reason}});
}

Registry::~Registry() = default;

Family<Counter>& Registry::counter(const std::string& name, const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
}

Family<Gauge>& Registry::gauge(const std::string& name, const std::string& help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_);
}

Family<Histogram>& Registry::histogram(const std::string& name, const std::string& help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_);
}

void Registry::count_reload(bool applied) {
  (applied ? reloads_applied_ : reloads_refused_)->Increment();
}

void Registry::refuse_handshakes(const std::string& reason, std::uint64_t count) {
  if (reason.empty() || count == 0) return;
  handshakes_refused_->Add({{"reason", reason}}).Increment(static_cast<double>(count));
}

void Registry::count_closed(const std::string& reason, std::uint64_t count) {
  closed_->Add({{"reason", reason}}).Increment(static_cast<double>(count));
}

std::string Registry::expose() {
  auto families = registry_->Collect();
  auto process = process_->Collect();
  std::ranges::move(process, std::back_inserter(families));
  return prometheus::TextSerializer().Serialize(families);
}

double total(const Family<Counter>& counter) {
  double sum = 0;
  for (const auto& family : counter.Collect()) {
    for (const auto& series : family.metric) sum += series.counter.value;
  }
  return sum;
}

const Buckets& latency_buckets() {
  static const Buckets seconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                  0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
  return seconds;
}

const Buckets& count_buckets() {
  static const Buckets counts = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
  return counts;
}

}  // namespace canopy::metrics
