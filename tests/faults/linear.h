// Whether the operations on one key could have happened one at a time, each at a moment between its
// call and its return.
//
// The key is a register of values, numbered; 0: there is none. Values that are written must be
// unique. The search is that of Wing & Gong ("Testing and Verifying Concurrent Objects", 1993) with
// the memory of Lowe ("Testing for linearizability", 2017): a pair of (operations that have
// happened, value) is looked at once. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace canopy::faults {

using Value = std::uint64_t;

struct Operation {
  enum class Kind : std::uint8_t {
    set,   // the value becomes `value`
    swap,  // it was `expected` and becomes `value`
    is,    // it is `expected`
    isnt,  // it is not `expected`
  };
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  std::int64_t call = 0;
  std::int64_t returned = never;  // never: may happen at any time after its call, or not at all
  Kind kind = Kind::set;
  Value expected = 0;
  Value value = 0;
  // Tried in ascending order: where another order is known to be likely, the search is short. What
  // is found does not depend on it.
  std::uint64_t hint = 0;
};

struct Verdict {
  enum class Outcome : std::uint8_t {
    linearizable,
    violated,
    unknown,  // the search was given up after `most_steps`
  };
  Outcome outcome = Outcome::linearizable;
  std::size_t blocked = 0;  // violated: index of the operation that the longest order ends before
  std::size_t steps = 0;
};

// The value is `initial` at first.
Verdict check(const std::vector<Operation>& operations, Value initial = 0,
              std::size_t most_steps = 20'000'000);

}  // namespace canopy::faults
