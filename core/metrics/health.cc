#include "core/metrics/health.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/metrics/http_get.h"

namespace canopy::metrics {
namespace {

constexpr std::chrono::milliseconds answer_timeout{1500};

}  // namespace

std::vector<std::string> ailments(const std::string& address,
                                  const std::vector<std::string_view>& aside) {
  if (address.ends_with(":0")) {
    return {"http " + address + " is any free port: give it a fixed one to be asked at"};
  }
  const auto live = http_get(local_address(address), "/livez", answer_timeout);
  if (!live) return {live.error()};
  if (live->status != 200) return {"/livez: " + live->body};
  const auto ready = http_get(local_address(address), "/readyz", answer_timeout);
  if (!ready) return {ready.error()};
  if (ready->status == 200) return {};
  const auto document = nlohmann::json::parse(ready->body, nullptr, false);
  if (!document.is_object() || !document.contains("failing") || !document["failing"].is_object()) {
    return {"/readyz answers " + std::to_string(ready->status)};
  }
  std::vector<std::string> reasons;
  for (const auto& [check, why] : document["failing"].items()) {
    const auto is_aside = [&check = check](std::string_view start) {
      return check.starts_with(start);
    };
    if (std::ranges::any_of(aside, is_aside)) continue;
    reasons.push_back(check + ": " + (why.is_string() ? why.get<std::string>() : why.dump()));
  }
  return reasons;
}

int tell_health(const std::string& address, const std::vector<std::string_view>& aside) {
  const auto reasons = ailments(address, aside);
  for (const std::string& reason : reasons) std::puts(reason.c_str());
  if (reasons.empty()) std::puts("ready");
  return reasons.empty() ? 0 : 1;
}

}  // namespace canopy::metrics
