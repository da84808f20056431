// Whether an operator may let a replica lead with what it has. Pure.
#pragma once

#include <string>

#include "broker/topology.h"

namespace canopy::broker {

// Why the replica of `partition` ("" is the root) at this shard cannot be elected: it is not there,
// or does not wait. Empty: it can.
std::string why_not_elected(const Members& members, const std::string& partition,
                            const std::string& shard);

}  // namespace canopy::broker
