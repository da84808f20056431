// Breaks one rule of replication between the replica and its world, to see that the checker
// notices. With Broken::nothing it changes nothing.
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

  // What a replica gets to see as it starts, and of the record.
  void recover(cluster::Replica::Recovered& recovered, const cluster::ReplicaId& self);
  void see(std::optional<cluster::PartitionRecord>& record, const cluster::ReplicaId& self) const;

  // What a leader hears, and sends; an answer: it hears this besides.
  void hear(const wire::ToLeader& message);
  std::optional<wire::Stored> send(const std::string& to, wire::ToFollower& message) const;

  // Whether the replica hears at once that its proposal is taken.
  bool takes_early(const std::optional<cluster::PartitionRecord>& current,
                   const cluster::PartitionRecord& proposed) const;

 private:
  Broken rule_;
  std::map<std::string, wire::Follow> followers_{};
  std::optional<cluster::PartitionRecord> forgotten_{};
};

}  // namespace canopy::simulation
