#include "loadtest/measure/histogram.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

namespace canopy::measure {
namespace {

constexpr double min_us = 1, max_us = 1e9;
constexpr unsigned bins = 1047;  // 1e9 ^ (1 / 1047) = 1.02

// The count of a bin. Bin -1 counts the values below the scale and comes first.
auto& cell(auto& counts, int bin) { return *(counts.begin() + bin + 1); }

}  // namespace

Histogram::Histogram() : counts_(std::tuple(Axis(bins, min_us, max_us))) {}

void Histogram::record(std::int64_t us) {
  us = std::max<std::int64_t>(us, 0);
  counts_(static_cast<double>(us));
  min_us_ = count_ == 0 ? us : std::min(min_us_, us);
  max_us_ = std::max(max_us_, us);
  sum_us_ += us;
  ++count_;
}

void Histogram::merge(const Histogram& other) {
  if (other.count_ == 0) return;
  // The axes are the same: bin by bin.
  std::transform(counts_.begin(), counts_.end(), other.counts_.begin(), counts_.begin(),
                 std::plus<>());
  min_us_ = count_ == 0 ? other.min_us_ : std::min(min_us_, other.min_us_);
  max_us_ = std::max(max_us_, other.max_us_);
  sum_us_ += other.sum_us_;
  count_ += other.count_;
}

double Histogram::percentile(double share) const {
  if (count_ == 0) return 0;
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(count_);
  const auto& axis = counts_.axis(0);
  double below = 0;
  double us = static_cast<double>(max_us_);
  for (int bin = -1; bin <= axis.size(); ++bin) {
    const auto here = static_cast<double>(cell(counts_, bin));
    if (here == 0 || below + here < rank) {
      below += here;
      continue;
    }
    us = bin < 0 ? 0 : axis.value(bin + (rank - below) / here);
    break;
  }
  return std::clamp(us, static_cast<double>(min_us_), static_cast<double>(max_us_)) / 1000;
}

LatencySummary Histogram::summary() const {
  if (count_ == 0) return {};
  return {
      .avg = static_cast<double>(sum_us_) / static_cast<double>(count_) / 1000,
      .min = static_cast<double>(min_us_) / 1000,
      .p50 = percentile(0.50),
      .p95 = percentile(0.95),
      .p99 = percentile(0.99),
      .max = static_cast<double>(max_us_) / 1000,
  };
}

nlohmann::json Histogram::to_json() const {
  auto filled = nlohmann::json::array();
  for (int bin = -1; bin <= counts_.axis(0).size(); ++bin) {
    if (cell(counts_, bin) != 0) filled.push_back({bin, cell(counts_, bin)});
  }
  return {{"bins", filled},
          {"count", count_},
          {"sum_us", sum_us_},
          {"min_us", min_us_},
          {"max_us", max_us_}};
}

Histogram Histogram::from_json(const nlohmann::json& json) {
  Histogram histogram;
  for (const auto& bin : json.at("bins")) {
    cell(histogram.counts_, bin.at(0).get<int>()) = bin.at(1).get<std::uint64_t>();
  }
  json.at("count").get_to(histogram.count_);
  json.at("sum_us").get_to(histogram.sum_us_);
  json.at("min_us").get_to(histogram.min_us_);
  json.at("max_us").get_to(histogram.max_us_);
  return histogram;
}

}  // namespace canopy::measure
