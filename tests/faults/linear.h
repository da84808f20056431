// Checks whether the operations on one key are linearizable: each happens at a moment between its
// call and its return, one at a time. Pure; thread-safe.
//
// The key is a register of numbered values; 0: no value. Written values must be unique. The search
// is that of Wing & Gong ("Testing and Verifying Concurrent Objects", 1993) with the memory of Lowe
// ("Testing for linearizability", 2017), which visits each pair (set of operations, value) once.
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
  std::int64_t returned = never;  // never: may happen at any time after its call, or not
  Kind kind = Kind::set;
  Value expected = 0;
  Value value = 0;
  // The search tries operations in ascending order of hints. A likely order makes it short; the
  // result does not depend on it.
  std::uint64_t hint = 0;
};

struct Verdict {
  enum class Outcome : std::uint8_t {
    linearizable,
    violated,
    unknown,  // the search ended after `max_steps`
  };
  Outcome outcome = Outcome::linearizable;
  std::size_t blocked = 0;  // violated: index of the operation before which the longest order ends
  std::size_t steps = 0;
};

// The register begins with `initial`.
Verdict check(const std::vector<Operation>& operations, Value initial = 0,
              std::size_t max_steps = 20'000'000);

}  // namespace canopy::faults
