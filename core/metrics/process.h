// The process_* metrics, read from the kernel at each scrape.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace canopy::metrics {

// Thread-safe: holds constants only.
class ProcessCollector final : public prometheus::Collectable {
 public:
  ProcessCollector(const std::string& role, const std::string& name);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::vector<prometheus::ClientMetric::Label> process_labels_;  // role, name
  std::vector<prometheus::ClientMetric::Label> build_labels_;    // version, role, name
  double start_time_seconds_;
};

}  // namespace canopy::metrics
