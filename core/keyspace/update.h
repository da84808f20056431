// One committed change of one key. Immutable and shared: tree, log, batches and fan-out all hold
// the same object, from the socket it came in by to the socket it leaves by.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/keyspace/revision.h"

namespace canopy::keyspace {

struct Update {
  std::string key{};
  std::string value{};       // opaque; empty when deleted
  std::string properties{};  // `name=value\n`…, as the client gave them
  std::string uuid{};        // opaque, of a Clone client; or empty
  Revision revision{};
  std::int64_t expires_at_ms = 0;  // since the Unix epoch; 0: never
  bool deleted = false;

  std::size_t bytes() const { return key.size() + value.size() + properties.size() + uuid.size(); }
};

using UpdatePtr = std::shared_ptr<const Update>;

}  // namespace canopy::keyspace
