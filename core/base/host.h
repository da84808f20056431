// What this machine calls itself, and where others on its network reach it.
#pragma once

#include <string>

#include "core/base/result.h"

namespace canopy::base {

// "localhost" when it has no name.
std::string host_name();

// The IPv4 address that this machine uses on its default route; without such a route, the first one
// of an interface that is up and not the loopback. An error when there is none. Sends nothing.
Result<std::string> own_address();

}  // namespace canopy::base
