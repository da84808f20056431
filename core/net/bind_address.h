// What a listening socket may bind. Asks this machine: resolves names, looks at ipc paths.
#pragma once

#include <string>

#include "core/base/result.h"

namespace canopy::net {

// `endpoint` with its host as base::listening_host() has it; one without a host stays as it is.
base::Result<std::string> listening_endpoint(const std::string& endpoint);

// Whether the host of a tcp endpoint is an IPv6 address, which libzmq must be told of.
bool is_ipv6(const std::string& endpoint);

// libzmq removes whatever stands at an ipc path before it binds. This says whether that may be
// done: nothing is there, or a socket that no process answers at.
enum class IpcPath { free, in_use, no_socket };
IpcPath look_at(const std::string& endpoint);

}  // namespace canopy::net
