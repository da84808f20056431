#include "core/net/curve_server.h"

#include <memory>
#include <unordered_map>
#include <utility>

#include "core/base/log.h"

namespace canopy::net {
namespace {

class UnknownKeys {
 public:
  void log(std::string_view key, base::TimePoint now) {
    if (logged_.size() >= max_remembered) {
      std::erase_if(logged_, [now](const auto& each) { return now - each.second >= period; });
    }
    const auto known = logged_.find(std::string(key));
    if (known != logged_.end() && now - known->second < period) return;
    // Keys beyond `max_remembered` are counted, not logged.
    if (known == logged_.end() && logged_.size() >= max_remembered) return;
    logged_[std::string(key)] = now;
    base::log::warn("security", "unknown key refused", {{"public_key", key}});
  }

 private:
  static constexpr base::Duration period = std::chrono::minutes(1);
  static constexpr std::size_t max_remembered = 1024;

  std::unordered_map<std::string, base::TimePoint> logged_;  // when last, by key
};

}  // namespace

zmtp::CurveServer curve_server(const access::KeyPair& keys, const Loop& loop,
                               zmtp::CurveServer::Authorize names) {
  const auto unknown = std::make_shared<UnknownKeys>();
  return zmtp::CurveServer::of(
      keys, [unknown, &loop, names = std::move(names)](std::string_view public_key) {
        auto name = names(public_key);
        if (!name) unknown->log(public_key, loop.now());
        return name;
      });
}

}  // namespace canopy::net
