// The numbers of the messages in link.h and replication.h; for this folder alone.
#pragma once

namespace canopy::wire {

enum class Kind : unsigned {
  writes = 1,
  sync = 2,
  credit = 3,
  follow = 5,
  stored = 6,
  chunk = 16,
  refused = 17,
  answers = 18,
  append = 19,
  snapshot = 20,
  unled = 21,
  batch = 32,
};

}  // namespace canopy::wire
