// The choices that a seed makes before the first event: the cluster, its settings, the reliability
// of its machines, and the kinds of faults.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cluster/replica.h"
#include "tests/simulation/random.h"

namespace canopy::simulation {

// Rules of replication that a world can break on purpose; the checker must detect it.
enum class Broken {
  nothing,
  commit_alone,     // the leader hears of followers that they stored what they have only been sent
  elect_outsider,   // a replica outside the set is told that it is in it
  reuse_epoch,      // a leader that restarts gets the epoch that it had
  forget_requests,  // entries reach followers without the requests that they complete
  shrink_early,     // the leader hears that a smaller set is taken before the coordinator has it
};
std::optional<Broken> broken_rule(std::string_view name);
// The invariant that does not hold without the rule.
std::string_view broken_invariant(Broken rule);

enum class Fault {
  crash,               // one process, which restarts later
  crash_all,           // all processes at once
  pause,               // one process stops (SIGSTOP) and goes on
  disconnect,          // a connection breaks
  cut,                 // nothing passes in one direction between two shards
  coordinator_outage,  // the coordinator is away
  coordinator_cut,     // one shard does not reach the coordinator
  slow_disk,           // operations of one shard take long
  move,                // an operator places the partition on other shards
  split,               // an operator has a part of the partition split off
};

inline constexpr const char* whole_subtree = "/p/";
inline constexpr const char* part_subtree = "/p/s/";

struct Scenario {
  static Scenario draw(Random& random);
  std::string show() const;

  // The cluster.
  std::vector<std::string> shards{};
  cluster::Replica::Settings settings{};  // of every replica, but for `self`
  bool disk = false;
  base::Duration tick{};
  base::Duration lease{};

  // How well machines behave.
  base::Duration max_delay{};               // of a message between shards
  base::Duration max_directory_delay{};     // to and from the coordinator
  base::Duration max_disk_delay{};          // of a group of operations
  int lost = 0, repeated = 0, swapped = 0;  // per cent of the messages of a connection
  int slots = 1;                            // messages under way to one follower
  bool honest_clocks = true;  // local time differs so little that leases mean what they say
  bool encoded = false;       // messages pass through their encoding

  // What happens.
  int clients = 1;
  std::size_t padding = 0;  // of each value, in bytes
  int keys = 1;
  base::Duration pause_between_requests{};
  std::vector<Fault> faults{};
  bool moves = false;   // one of them is Fault::move
  bool splits = false;  // one of them is Fault::split
  base::Duration between_faults{};
  base::Duration trouble{};  // until then faults come
};

}  // namespace canopy::simulation
