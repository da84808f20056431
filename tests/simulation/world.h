// A deterministic simulation of one replicated partition: the real cluster::Replica on every shard,
// in a simulated environment. One seed determines everything: there is no thread, no wall clock,
// and no unspecified order.
//
// In some worlds the partition is split: its part is another one, with replicas, a record, links
// and a checker of its own, on the same processes.
//
// A seed draws a scenario (scenario.h), lets clients write and faults happen for some seconds of
// simulated time, then ends all faults and expects the partition to recover. The invariants are in
// checker.h, and are checked at each step.
//
// Simulated:
// - processes that crash and restart, one or all at once; that pause and continue with stale state;
//   each with a clock of its own, which in some worlds runs twice as fast
// - the coordinator: compare-and-set whose outcome comes late or after the end of its process,
//   leases, watches that lag, outages, shards that do not reach it
// - connections that delay, break, and are cut in one direction; in some worlds messages of a
//   connection are lost, repeated and swapped besides
// - disks that carry out operations late and in groups, and lose the last of them in a crash;
//   copies in memory, which return empty and under another identity
// - clients that repeat a request while the first copy of it is still under way
// - in some worlds, the encoding of the messages between replicas
//
// Not simulated: the decisions of shard::Partition (decider.h replaces it), expiry, proxies, the
// real store and coordinators, several partitions on a connection, accept_loss, disks that return
// wrong data, and processes that send wrong messages.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/simulation/checker.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/coordinator.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/network.h"
#include "tests/simulation/shard.h"

namespace canopy::simulation {

struct Options {
  std::uint64_t seed = 0;
  bool trace = false;
  Broken broken = Broken::nothing;
};

struct Outcome {
  std::optional<Violation> violation{};
  std::uint64_t events = 0;
  std::uint64_t committed = 0;  // updates
  std::uint32_t epochs = 0;
  bool lost = false;  // every member of the last set, and with them the partition
};

class World {
 public:
  explicit World(Options options);
  Outcome run();

 private:
  void live();
  void be_well();
  // Runs until complaint() is empty; a violation if it is not within `patience`.
  void expect_well(base::Duration patience);
  // A partition with its simulated environment.
  struct Side {
    Side(Context of_world, Checker& its_checker)
        : checker(its_checker),
          context{of_world.random,   of_world.events, of_world.trace,
                  of_world.scenario, its_checker,     of_world.broken},
          coordinator(context),
          network(context) {}

    bool lost() const;
    std::map<std::string, Shard*> pointers() const;

    Checker& checker;
    Context context;
    Coordinator coordinator;
    Network network;
    std::map<std::string, std::unique_ptr<Shard>> shards{};
  };

  void add_shards(Side& side, Side* part);
  bool lost() const { return whole_.lost() || (part_ && part_->lost()); }
  // Why the partition has not recovered after all faults and requests have ended; empty: it has.
  std::string complaint() const;
  std::string complaint(const Side& side) const;
  std::string complaint_of(const Side& side, const Shard& shard, const Shard& leader) const;
  std::uint32_t epochs() const;

  Random random_;
  Events events_{};
  Trace trace_;
  Scenario scenario_;
  Checker::Requests requests_{};
  Checker part_checker_;
  Checker checker_;
  Context context_;
  Side whole_;
  std::optional<Side> part_{};
  std::unique_ptr<Clients> clients_{};
  std::unique_ptr<Faults> faults_{};
};

}  // namespace canopy::simulation
