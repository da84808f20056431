// The numbers of the messages in link.h; shared by its two halves alone.
#pragma once

namespace canopy::wire {

enum class Kind : unsigned {
  writes = 1,
  sync = 2,
  credit = 3,
  chunk = 16,
  refused = 17,
  answers = 18,
  batch = 32,
};

}  // namespace canopy::wire
