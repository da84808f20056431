#include "client/directory.h"

#include <algorithm>

#include "core/base/endpoint.h"
#include "core/wire/member.h"

namespace canopy::client {

std::vector<Candidate> candidates(const wire::native::Members& members) {
  std::vector<Candidate> found;
  for (const auto& [key, value] : members.members) {
    if (!key.starts_with(wire::proxies_prefix)) continue;
    const auto member = wire::parse_proxy_member(value);
    if (!member || member->native.empty() || member->state != "ready") continue;
    const std::uint64_t room = member->max_clients - std::min(member->clients, member->max_clients);
    found.push_back({{.name = member->name, .endpoint = member->native},
                     std::clamp<std::uint64_t>(room, 1, UINT32_MAX)});
  }
  return found;
}

base::Result<Target> target_at(const std::string& endpoint) {
  const auto address = base::parse_endpoint(endpoint);
  if (!address || address->ipc || !address->port) {
    return base::Error{"'" + endpoint + "' is not tcp://HOST:PORT"};
  }
  return Target{.name = endpoint, .endpoint = endpoint};
}

std::optional<Target> choose(const std::vector<Candidate>& candidates, const std::string& avoid,
                             std::mt19937_64& random) {
  std::uint64_t total = 0;
  for (const Candidate& each : candidates) total += each.target.name == avoid ? 0 : each.room;
  if (total == 0) {
    if (candidates.empty()) return std::nullopt;
    return candidates.front().target;
  }
  std::uint64_t left = std::uniform_int_distribution<std::uint64_t>(0, total - 1)(random);
  for (const Candidate& each : candidates) {
    if (each.target.name == avoid) continue;
    if (left < each.room) return each.target;
    left -= each.room;
  }
  return std::nullopt;
}

}  // namespace canopy::client
