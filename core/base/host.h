// The name of this machine, and the addresses at which other machines reach it. Thread-safe.
#pragma once

#include <optional>
#include <string>

#include "core/base/result.h"

namespace canopy::base {

// "localhost" when it has no name.
std::string host_name();

// The IPv4 address that this machine uses on its default route; without such a route, the first one
// of an interface that is up and not the loopback. An error when there is none. Sends nothing.
Result<std::string> own_address();

// The host to announce for a socket that is bound to every interface: own_address(), or 127.0.0.1
// where there is none. The same for the life of the process.
const std::string& announced_host();

// The IPv4 address of an interface of this machine; nothing when none is called so.
std::optional<std::string> interface_host(const std::string& name);

// The numeric address that a socket of this machine binds for `host`: `*` is 0.0.0.0; an interface
// of this machine and a name stand for their IPv4 address. Numeric addresses stay as they are, IPv6
// in brackets. Asks the resolver for names. An error when there is no such address.
Result<std::string> listening_host(const std::string& host);

}  // namespace canopy::base
