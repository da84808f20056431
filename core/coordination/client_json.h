// A client's connection as JSON, the same in `canopy clients --json` and in a proxy's
// /api/v1/clients. Pure.
#pragma once

#include <string>

#include "core/wire/native.h"

namespace canopy::coordination {

// {"proxy","connection","peer","name","protocol","queued_bytes","missed","catch_ups","age_ms",
// "subscriptions":[…]}; bytes that are not UTF-8 become U+FFFD.
std::string to_json(const std::string& proxy, const wire::native::ClientInfo& client);

}  // namespace canopy::coordination
