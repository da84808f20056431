// Which proxy to use, from what the directory says of them. Pure.
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
  std::uint64_t room = 1;  // clients that it would still take
};

// The proxies that speak the native protocol and take clients. Members that cannot be read are left
// out.
std::vector<Candidate> candidates(const wire::native::Members& members);

// The proxy at `endpoint`, "tcp://HOST:PORT", which is also what it is called.
base::Result<Target> target_at(const std::string& endpoint);

// One at random, the likelier the more room it has; `avoid` (a name) only if there is no other.
std::optional<Target> choose(const std::vector<Candidate>& candidates, const std::string& avoid,
                             std::mt19937_64& random);

}  // namespace canopy::client
