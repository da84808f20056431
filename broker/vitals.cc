#include "broker/vitals.h"

#include <string_view>

#include "core/coordination/coordinator.h"

namespace canopy::broker {
namespace {

using wire::Vitals;

// None when the process restarted between the two reports.
std::optional<Rates> rates_between(const Vitals& before, const Vitals& now) {
  if (now.uptime_ms <= before.uptime_ms || before.uptime_ms == 0) return std::nullopt;
  const double seconds = static_cast<double>(now.uptime_ms - before.uptime_ms) / 1000;
  const auto rate = [&](std::uint64_t Vitals::*count) {
    return now.*count < before.*count ? 0
                                      : static_cast<double>(now.*count - before.*count) / seconds;
  };
  return Rates{.updates = rate(&Vitals::updates),
               .deliveries = rate(&Vitals::deliveries),
               .delivered_bytes = rate(&Vitals::delivered_bytes),
               .drops = rate(&Vitals::drops)};
}

}  // namespace

base::Status VitalsBook::apply(const cluster::KeyChanged& change, base::TimePoint now) {
  if (!change.key.starts_with(coordination::vitals_prefix)) return {};
  const std::string name = change.key.substr(std::string_view(coordination::vitals_prefix).size());
  if (!change.value) {
    entries_.erase(name);
    return {};
  }
  auto vitals = wire::parse_vitals(*change.value);
  if (vitals && vitals->name != name) vitals = base::Error{"'name' is " + vitals->name};
  if (!vitals) {
    entries_.erase(name);
    return base::Error{change.key + ": " + vitals.error()};
  }
  Entry& entry = entries_[name];
  const auto rates = rates_between(entry.vitals, *vitals);
  entry = {.vitals = std::move(*vitals), .heard = now, .rates = rates};
  return {};
}

const VitalsBook::Entry* VitalsBook::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace canopy::broker
