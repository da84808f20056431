// Updates for tests that know no encoding: their bytes are the fields, one after another.
#pragma once

#include <algorithm>

#include "core/keyspace/update.h"

namespace canopy::keyspace {

inline UpdatePtr make_update(const Entry& fields) {
  return Update::make(fields.bytes(), [&](char* to) {
    Entry written = fields;
    for (const auto field : {&Entry::key, &Entry::value, &Entry::properties, &Entry::uuid}) {
      const std::string_view from = fields.*field;
      written.*field = {to, from.size()};
      to = std::copy_n(from.data(), from.size(), to);
    }
    return written;
  });
}

}  // namespace canopy::keyspace
