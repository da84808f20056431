// Checks an operator's order that a replica lead with its present state. Pure.
#pragma once

#include <string>

#include "broker/topology.h"

namespace canopy::broker {

// Why the replica of `partition` ("" is the root) at this shard cannot be elected: it does not
// exist, or is not waiting. Empty: it can.
std::string why_not_elected(const Members& members, const std::string& partition,
                            const std::string& shard);

}  // namespace canopy::broker
