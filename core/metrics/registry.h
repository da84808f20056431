// A program's Prometheus series. core/metrics is the only user of prometheus-cpp and civetweb.
//
// Each program declares all of its series once, in its own metrics.h, and resolves the handles at
// start. Counters and gauges may be set from any one thread while they are scraped.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace canopy::metrics {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Labels = prometheus::Labels;

template <typename T>
using Family = prometheus::Family<T>;

// The sum of a counter over all of its label sets.
double total(const Family<Counter>& counter);

// Upper bounds of a histogram's buckets, ascending:
//   registry.histogram(name, help).Add({}, latency_buckets()).Observe(seconds);
using Buckets = std::vector<double>;
const Buckets& latency_buckets();  // seconds, 100 µs to 10 s
const Buckets& count_buckets();    // sizes of batches, 1 to 10,000

// Holds the series of one process. Adds by itself, at every scrape: the standard process_* series
// (CPU seconds, resident and virtual memory, start time, open_fds, max_fds, threads),
// canopy_open_fds{role,name}, canopy_max_fds{role,name} and canopy_build_info{version,role,name}.
class Registry {
 public:
  Registry(const std::string& role, const std::string& name);
  ~Registry();

  Family<Counter>& counter(const std::string& name, const std::string& help);
  Family<Gauge>& gauge(const std::string& name, const std::string& help);
  Family<Histogram>& histogram(const std::string& name, const std::string& help);

  // Counts a reload of the configuration, applied or refused. canopy_reloads_total{result}.
  void count_reload(bool applied);

  // Counts connections refused for their keys, unless `reason` is empty.
  // canopy_handshakes_refused_total{reason}.
  void refuse_handshakes(const std::string& reason, std::uint64_t count = 1);

  // Counts connections that this process closed for cause.
  // canopy_connections_closed_total{reason}.
  void count_closed(const std::string& reason, std::uint64_t count = 1);

  // The text exposition format. Thread-safe.
  std::string expose();

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<class ProcessCollector> process_;
  Counter* reloads_applied_;
  Counter* reloads_refused_;
  Family<Counter>* handshakes_refused_;
  Family<Counter>* closed_;
};

}  // namespace canopy::metrics
