// What the coordinator keeps of a partition: who leads it, and without whom nothing of it is
// committed. Changed by compare-and-set alone; a replica acts on a record once the coordinator has
// taken it. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace canopy::cluster {

// One copy of a partition. `identity` is drawn anew when a copy starts empty: a shard that has lost
// its copy comes back as another replica.
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

  bool operator==(const PartitionRecord&) const = default;
};

}  // namespace canopy::cluster
