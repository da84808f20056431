// Chooses a proxy among the members of the directory. Pure. core/wire/member.h has their format.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "client/network.h"
#include "core/base/result.h"
#include "core/wire/native_broker.h"

namespace canopy::client {

struct Candidate {
  Target target{};
  std::uint64_t room = 1;  // clients that it still accepts
};

// The proxies that speak the native protocol and accept clients. Leaves out members that cannot be
// parsed.
std::vector<Candidate> candidates(const wire::native::Members& members);

// The proxy at `endpoint`, "tcp://HOST:PORT", which also becomes its name.
base::Result<Target> target_at(const std::string& endpoint);

// A random proxy, weighted by its room; the one named `avoid` only if there is no other.
std::optional<Target> choose(const std::vector<Candidate>& candidates, const std::string& avoid,
                             std::mt19937_64& random);

}  // namespace canopy::client
