// A histogram of latencies: 1 µs to 1000 s in steps of 2 %, with exact minimum, maximum and mean.
// Workers keep their own histograms, which the parent merges. Pure; not thread-safe.
#pragma once

#include <boost/histogram.hpp>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace canopy::measure {

// In milliseconds; all 0 while nothing is recorded.
struct LatencySummary {
  double avg = 0, min = 0, p50 = 0, p95 = 0, p99 = 0, max = 0;
};

class Histogram {
 public:
  Histogram();

  // In microseconds; a negative value counts as 0.
  void record(std::int64_t us);
  void merge(const Histogram& other);

  std::uint64_t count() const { return count_; }
  // In milliseconds; `share` from 0 to 1.
  double percentile(double share) const;
  LatencySummary summary() const;

  nlohmann::json to_json() const;
  // Reads the result of to_json() of the same version.
  static Histogram from_json(const nlohmann::json& json);

 private:
  using Axis = boost::histogram::axis::regular<double, boost::histogram::axis::transform::log>;
  using Counts =
      boost::histogram::histogram<std::tuple<Axis>, boost::histogram::dense_storage<std::uint64_t>>;

  Counts counts_;
  std::uint64_t count_ = 0;
  std::int64_t sum_us_ = 0;
  std::int64_t min_us_ = 0;
  std::int64_t max_us_ = 0;
};

}  // namespace canopy::measure
