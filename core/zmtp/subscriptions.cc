#include "core/zmtp/subscriptions.h"

#include <algorithm>
#include <iterator>

namespace canopy::zmtp {

bool Subscriptions::begin(std::string_view topic) {
  const auto found = counts_.find(topic);
  if (found == counts_.end()) return counts_.emplace(topic, 1).second;
  ++found->second;
  return false;
}

bool Subscriptions::end(std::string_view topic) {
  const auto found = counts_.find(topic);
  if (found == counts_.end() || --found->second > 0) return false;
  counts_.erase(found);
  return true;
}

// The greatest topic that is not above the message is a prefix of it, or else shares a shorter
// prefix with it, beyond which no topic can match.
bool Subscriptions::matches(std::string_view message) const {
  std::string_view common = message;
  for (;;) {
    const auto above = counts_.upper_bound(common);
    if (above == counts_.begin()) return false;
    const std::string& topic = std::prev(above)->first;
    if (common.starts_with(topic)) return true;
    const auto [own, other] = std::ranges::mismatch(common, topic);
    common = common.substr(0, static_cast<std::size_t>(own - common.begin()));
  }
}

}  // namespace canopy::zmtp
