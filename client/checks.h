// What a session refuses without a proxy, by the bounds of docs/reference/protocol.md. Pure.
#pragma once

#include <string>
#include <vector>

#include "client/events.h"
#include "core/wire/fault.h"
#include "core/wire/write.h"

namespace canopy::client {

Answer refusal(wire::Fault fault, std::string text);
// Of a call whose deadline has passed; `why`: of the last refusal, if there was one.
Answer expired(const std::string& why);
// Of a call that its user gave up.
Answer cancellation();
// Why a proxy would refuse these writes as one request, or close the connection; else ok.
Answer check(const std::vector<wire::Write>& writes);
// Whether a proxy accepts this as a client's name.
bool is_label(const std::string& name);

}  // namespace canopy::client
