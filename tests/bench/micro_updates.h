// Updates of the side-by-side runs, for microbenchmarks. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/wire/entry.h"
#include "tests/bench/dialogue.h"

namespace canopy::bench {

// `count` updates of `count` keys with contiguous revisions, and random or equal bodies.
inline std::vector<keyspace::UpdatePtr> updates_of(std::int64_t count, bool random_bodies = true) {
  std::mt19937_64 generator(7);
  std::vector<keyspace::UpdatePtr> updates;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string key = key_of(static_cast<std::uint32_t>(i));
    std::string value(body_bytes, 'x');
    if (random_bodies) {
      std::ranges::generate(value, [&] { return static_cast<char>(generator()); });
    }
    const keyspace::Revision revision(1, static_cast<std::uint64_t>(i) + 1);
    updates.push_back(wire::make_update({.key = key, .value = value, .revision = revision}));
  }
  return updates;
}

inline std::vector<keyspace::UpdatePtr> shuffled_updates(std::int64_t count) {
  auto updates = updates_of(count);
  std::shuffle(updates.begin(), updates.end(), std::mt19937_64(11));
  return updates;
}

}  // namespace canopy::bench
