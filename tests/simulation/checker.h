// The invariants, checked while a world runs. The checker sees every disk, the coordinator's
// record, and each commit of each replica.
//
//   Durable                 what was committed is stored by every member of the in-sync set, and in
//                           every later leader's history, at its revision
//   OneLeader               an epoch has one leader, a revision one content
//   Ordered                 what is published grows; a reader that goes to the next leader finds
//                           there all that it has seen
//   AppliedOnce             no request is applied twice, and a repeated one is answered alike
//   NothingUncommittedSeen  what was committed, so published or answered, is not taken back
//   Atomic                  the updates of a request are committed together and next to each other
//   Converged               after all faults and requests have ended: the preferred replica leads,
//                           and every replica is in the set and equal (world.cc)
//   Contract                a replica orders from its store and coordinator only what they can do
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/cluster/replica.h"
#include "tests/simulation/scenario.h"

namespace canopy::simulation {

class Disk;

struct Violation : std::runtime_error {
  Violation(std::string name, const std::string& what)
      : std::runtime_error(what), invariant(std::move(name)) {}
  std::string invariant;
};

template <typename What>
void require(bool holds, const char* invariant, What&& what) {
  if (!holds) throw Violation(invariant, what());
}

class Checker {
 public:
  // What is known of requests, over a partition and its part.
  struct Requests {
    std::map<std::string, keyspace::Revision> applied{};  // by uuid, drawn by clients
    std::map<std::pair<std::string, std::uint64_t>, keyspace::Revision> answers{};
  };

  // `part`: the checker of the part; null: this is it, or the partition is not split.
  Checker(const Scenario& scenario, std::string subtree, Requests& requests, Checker* part)
      : subtree_(std::move(subtree)),
        requests_(requests),
        part_(part),
        retain_(scenario.settings.retain),
        min_copies_(scenario.disk ? scenario.settings.min_in_sync : 0) {}

  // With clocks of equal speed no two replicas lead at one moment. `leaders` counts the leaders.
  void expect_one_lease(std::function<std::ptrdiff_t()> leaders) { leaders_ = std::move(leaders); }

  // A replica starts from what its disk has, which may outlive it.
  void started(const std::string& shard, Disk& disk);
  // The copy of a replica, in memory, is lost.
  void lost(const std::string& shard) { copies_.erase(shard); }
  // Entries that a replica has committed, reported before it publishes them.
  void committed(const std::string& shard, const std::vector<keyspace::LogEntry>& entries);
  void installed(const std::string& shard, const cluster::Replica& replica);
  // The disk of a replica has carried out an operation, or lost pending ones.
  void stored(const std::string& shard);
  // The coordinator has stored a record.
  void recorded(const cluster::PartitionRecord& record);

  // A replica that leads now, by its own clock; and the entries that it publishes.
  void leads(const std::string& shard, const cluster::Replica& replica);
  void published(const cluster::Replica& replica, const std::vector<keyspace::LogEntry>& entries);
  void answered(const std::string& client, std::uint64_t number, keyspace::Revision revision);

  // Whether a replica has exactly the committed entries.
  bool complete(const cluster::Replica& replica) const;

  const std::vector<keyspace::LogEntry>& history() const { return history_; }
  keyspace::Revision last() const {
    return history_.empty() ? keyspace::Revision() : history_.back().update->revision;
  }

 private:
  struct Copy {
    Disk* disk = nullptr;
    keyspace::Revision committed{};
  };
  struct Leadership {
    cluster::ReplicaId leader{};
    std::uint64_t lineage = 0;
    bool operator==(const Leadership&) const = default;
  };

  std::size_t find(keyspace::Revision revision) const;  // the first entry not before it
  keyspace::Revision before(std::size_t at) const {     // the revision of the entry before it
    return at == 0 ? keyspace::Revision() : history_[at - 1].update->revision;
  }
  void admit(const std::string& shard, const keyspace::LogEntry& entry);
  void extend(const keyspace::LogEntry& entry);
  void check_batch(const keyspace::LogEntry& entry) const;
  void check_stored(const cluster::ReplicaId& member) const;
  void check_equal(const std::string& shard, const keyspace::Tree& tree, keyspace::Revision cut);
  void check_leadership(std::uint32_t epoch, const Leadership& leadership);

  bool knows_deletions(const cluster::Replica& replica) const;
  // The partition's tree as of `cut`.
  keyspace::Tree expected(keyspace::Revision cut) const;

  std::string subtree_;
  Requests& requests_;
  Checker* part_;
  bool retain_;
  std::size_t min_copies_;  // of what is committed; of copies in memory some are forgotten
  std::function<std::ptrdiff_t()> leaders_{};
  std::vector<keyspace::LogEntry> history_{};  // what was ever committed, in ascending order
  std::map<std::string, Copy> copies_{};
  std::optional<cluster::PartitionRecord> record_{};
  std::map<std::uint32_t, Leadership> epochs_{};

  // A reader that changes to each new leader at once, which is the strictest case.
  std::uint32_t reader_epoch_ = 0;
  keyspace::Revision reader_{};
};

}  // namespace canopy::simulation
