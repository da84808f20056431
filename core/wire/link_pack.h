// What the encoders of link.h and replication.h share; for them alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/wire/link.h"
#include "core/wire/link_kind.h"
#include "core/wire/pack.h"

namespace canopy::wire {

// A message of this kind whose fields `fill` packs, after what `out` holds already.
template <typename Fill>
std::string message(Kind kind, std::uint32_t fields, std::size_t size_hint, Fill&& fill,
                    std::string out = {}) {
  out.reserve(out.size() + size_hint);
  Packer packer(out);
  packer.array(fields + 2);
  packer.number(link_version);
  packer.number(static_cast<unsigned>(kind));
  fill(packer);
  return out;
}

inline std::size_t size_of(const std::vector<keyspace::UpdatePtr>& updates) {
  std::size_t total = 0;
  for (const keyspace::UpdatePtr& update : updates) total += update->encoded().size();
  return total;
}

inline void append_entries(std::string& out, const std::vector<keyspace::UpdatePtr>& updates) {
  for (const keyspace::UpdatePtr& update : updates) out += update->encoded();
}

}  // namespace canopy::wire
