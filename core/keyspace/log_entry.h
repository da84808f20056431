// An update as the replicated log of its partition holds it: with the client's request that it
// completes, so that every replica knows what came of that request. Immutable once made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/keyspace/update.h"

namespace canopy::keyspace {

// A request that was applied. By it a repetition is recognised.
struct AppliedRequest {
  std::string client{};
  std::uint64_t number = 0;   // of the client's choosing
  std::uint64_t settled = 0;  // the client has the answers of all requests below
  Revision revision{};        // of its last update
};

using AppliedRequestPtr = std::shared_ptr<const AppliedRequest>;

// The updates of one request are committed together: `completes` marks the last of them, and each
// update that belongs to no request.
struct LogEntry {
  UpdatePtr update{};
  AppliedRequestPtr request{};  // of the last update of a request; null: nobody may repeat it
  bool completes = true;
};

}  // namespace canopy::keyspace
