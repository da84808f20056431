// What the broker says about the cluster: where clients connect, which processes to watch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/coordination/member.h"
#include "core/wire/clone.h"

namespace canopy::loadtest {

struct ProcessId {
  std::string role{};  // broker, shard, proxy, baseline
  std::string name{};
  std::int64_t pid = 0;
};

// What a load is run on.
struct Target {
  std::string name{};                           // as the table calls it
  std::vector<coordination::Triple> triples{};  // clients are dealt over these in turn
  std::vector<ProcessId> processes{};           // on this machine, as far as known
};

struct Topology {
  std::vector<ProcessId> processes{};
  std::vector<coordination::ProxyMember> proxies{};

  // All proxies there are have started and can be joined.
  bool ready() const;
};

base::Result<Topology> parse_topology(const std::string& json);
base::Result<Topology> fetch_topology(const std::string& broker);

// The ready proxies that speak `dialect`; an error says why there are none.
base::Result<Target> cluster_target(const Topology& topology, wire::clone::Dialect dialect);
// The triple that starts at each of these snapshot endpoints (tcp://HOST:PORT).
Target given_target(const std::vector<std::string>& snapshot_endpoints);

}  // namespace canopy::loadtest
