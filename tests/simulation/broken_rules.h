// Breaks one rule of replication between the replica and its world, to show that the checker
// detects it. Broken::nothing changes nothing.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "tests/simulation/scenario.h"

namespace canopy::simulation {

class BrokenRules {
 public:
  explicit BrokenRules(Broken rule) : rule_(rule) {}

  // Alters what a replica recovers at its start, and the record that it receives.
  void recover(cluster::Replica::Recovered& recovered, const cluster::ReplicaId& self);
  void see(std::optional<cluster::PartitionRecord>& record, const cluster::ReplicaId& self) const;

  // Alters the messages that a leader receives and sends; a returned message is received as well.
  void hear(const wire::ToLeader& message);
  std::optional<wire::Stored> send(const std::string& to, wire::ToFollower& message) const;

  // Whether the replica is told at once that its proposal succeeded.
  bool takes_early(const std::optional<cluster::PartitionRecord>& current,
                   const cluster::PartitionRecord& proposed) const;

 private:
  Broken rule_;
  std::map<std::string, wire::Follow> followers_{};
  std::optional<cluster::PartitionRecord> forgotten_{};
};

}  // namespace canopy::simulation
