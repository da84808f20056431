// What the broker says about the cluster: where clients connect, which processes to watch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/network.h"
#include "core/access/keys.h"
#include "core/base/result.h"
#include "core/coordination/member.h"
#include "loadtest/options.h"

namespace canopy::loadtest {

struct ProcessId {
  std::string role{};  // broker, shard, proxy, baseline
  std::string name{};
  std::int64_t pid = 0;
  std::string http{};  // HOST:PORT of its metrics; may be empty
};

// What a load is run on.
struct Target {
  std::string name{};  // as the table calls it
  // Clients are dealt in turn over whichever their protocol uses.
  std::vector<coordination::Triple> triples{};
  std::vector<client::Target> natives{};
  std::optional<access::ClientKeys> keys{};  // of the clients; none: in the clear
  std::vector<ProcessId> processes{};        // on this machine, as far as known
};

struct Topology {
  std::vector<ProcessId> processes{};
  std::vector<coordination::ProxyMember> proxies{};

  // All proxies there are have started and can be joined. One that is down counts for none: the
  // broker's /readyz tells of those that should be there.
  bool ready() const;
};

base::Result<Topology> parse_topology(const std::string& json);
base::Result<Topology> fetch_topology(const std::string& broker);

// The ready proxies that speak `dialect`; an error says why there are none. Where proxies speak
// the native protocol too, `natives` has them.
base::Result<Target> cluster_target(const Topology& topology, const Dialect& dialect);
// Those at these endpoints (tcp://HOST:PORT), which are the first of three for Clone clients.
Target given_target(const std::vector<std::string>& endpoints, const Dialect& dialect);

}  // namespace canopy::loadtest
