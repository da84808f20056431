// The coordinator's record of a partition: its leader, and its in-sync set. It changes by
// compare-and-set alone; a replica acts on a record once the coordinator has stored it. Pure.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace canopy::cluster {

// One copy of a partition. `identity` is drawn at random when a copy starts empty: a shard that has
// lost its copy returns as another replica.
struct ReplicaId {
  std::string shard{};
  std::string identity{};

  auto operator<=>(const ReplicaId&) const = default;
};

struct PartitionRecord {
  std::uint32_t epoch = 0;    // of the leader; grows with each new leader
  std::uint64_t lineage = 0;  // drawn for this leadership; not 0
  ReplicaId leader{};
  std::vector<ReplicaId> in_sync{};  // the leader among them; in ascending order
  // Shards that shall keep a replica, the preferred leader first; empty: those of the
  // configuration.
  std::vector<std::string> placement{};
  // Subtrees that are to become, or have become, partitions of their own, in the order of the
  // operator's requests.
  std::vector<std::string> splits{};
  // The partition that this one was split off; absent: it is one of the configuration.
  std::optional<std::string> parent{};

  bool operator==(const PartitionRecord&) const = default;
};

inline bool has_shard(const std::vector<ReplicaId>& replicas, const std::string& shard) {
  return std::ranges::count(replicas, shard, &ReplicaId::shard) > 0;
}

// Whether all replicas are of this shard.
inline bool only_of(const std::vector<ReplicaId>& replicas, const std::string& shard) {
  return std::ranges::count(replicas, shard, &ReplicaId::shard) == std::ssize(replicas);
}

// Whether every shard of the placement has a replica in `replicas`.
inline bool covers(const std::vector<ReplicaId>& replicas,
                   const std::vector<std::string>& placement) {
  return std::ranges::all_of(placement,
                             [&](const auto& shard) { return has_shard(replicas, shard); });
}

}  // namespace canopy::cluster
