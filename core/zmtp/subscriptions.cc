#include "core/zmtp/subscriptions.h"

#include <algorithm>
#include <iterator>

namespace canopy::zmtp {

bool Subscriptions::begin(std::string_view topic) { return topics_.emplace(topic).second; }

bool Subscriptions::end(std::string_view topic) {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return false;
  topics_.erase(found);
  return true;
}

// The greatest topic that is not above the message is a prefix of it, or else shares a shorter
// prefix with it, beyond which no topic can match.
bool Subscriptions::matches(std::string_view message) const {
  std::string_view common = message;
  for (;;) {
    const auto above = topics_.upper_bound(common);
    if (above == topics_.begin()) return false;
    const std::string& topic = *std::prev(above);
    if (common.starts_with(topic)) return true;
    const auto [own, other] = std::ranges::mismatch(common, topic);
    common = common.substr(0, static_cast<std::size_t>(own - common.begin()));
  }
}

}  // namespace canopy::zmtp
