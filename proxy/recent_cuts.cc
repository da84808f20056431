#include "proxy/recent_cuts.h"

#include <algorithm>

namespace canopy::proxy {
namespace {

using Cut = RecentCuts::Cut;

// All arguments are sorted by partition.
std::vector<Cut> merge(const std::vector<Cut>& one, const std::vector<Cut>& other) {
  std::vector<Cut> merged;
  merged.reserve(std::max(one.size(), other.size()));
  auto next = other.begin();
  for (const Cut& cut : one) {
    for (; next != other.end() && next->partition < cut.partition; ++next) merged.push_back(*next);
    const bool both = next != other.end() && next->partition == cut.partition;
    merged.push_back(both ? older(cut, *next++) : cut);
  }
  merged.insert(merged.end(), next, other.end());
  return merged;
}

}  // namespace

Cut older(const Cut& one, const Cut& other) {
  if (one.lineage != other.lineage) return {.partition = one.partition};
  return one.revision < other.revision ? one : other;
}

void RecentCuts::add(std::string_view prefix, std::vector<Cut> cuts, base::TimePoint now) {
  expire(now);
  std::ranges::sort(cuts, {}, &Cut::partition);
  auto known = by_prefix_.find(prefix);
  if (known == by_prefix_.end()) {
    const bool room = by_prefix_.size() < max_prefixes;
    known = by_prefix_.try_emplace(std::string(room ? prefix : std::string_view())).first;
  }
  auto& moments = known->second;
  if (!moments.empty() && now - moments.back().at < merged) {
    moments.back().cuts = merge(moments.back().cuts, cuts);
  } else {
    moments.push_back({.at = now, .cuts = std::move(cuts)});
  }
}

std::vector<Cut> RecentCuts::since(std::string_view prefix, base::TimePoint now) {
  expire(now);
  std::vector<Cut> oldest;
  for (const auto& [other, moments] : by_prefix_) {
    if (!prefix.starts_with(other) && !std::string_view(other).starts_with(prefix)) continue;
    for (const Moment& moment : moments) oldest = merge(oldest, moment.cuts);
  }
  return oldest;
}

void RecentCuts::divide(std::size_t whole, std::size_t part) {
  for (auto& [prefix, moments] : by_prefix_) {
    for (Moment& moment : moments) {
      const auto cut = std::ranges::lower_bound(moment.cuts, whole, {}, &Cut::partition);
      if (cut == moment.cuts.end() || cut->partition != whole) continue;
      Cut of_part = *cut;
      of_part.partition = part;
      moment.cuts = merge(moment.cuts, {of_part});
    }
  }
}

// A moment stands for all cuts within `merged` after it.
void RecentCuts::expire(base::TimePoint now) {
  for (auto at = by_prefix_.begin(); at != by_prefix_.end();) {
    auto& moments = at->second;
    while (!moments.empty() && now - moments.front().at > window + merged) moments.pop_front();
    at = moments.empty() ? by_prefix_.erase(at) : std::next(at);
  }
}

std::size_t RecentCuts::size() const {
  std::size_t total = 0;
  for (const auto& [prefix, moments] : by_prefix_) {
    for (const Moment& moment : moments) total += moment.cuts.size();
  }
  return total;
}

}  // namespace canopy::proxy
