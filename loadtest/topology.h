// The cluster's proxies and processes, as the broker reports them in /api/v1/topology.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/network.h"
#include "core/access/keys.h"
#include "core/base/result.h"
#include "core/wire/member.h"
#include "loadtest/options.h"

namespace canopy::loadtest {

struct ProcessId {
  std::string role{};  // broker, shard, proxy, baseline
  std::string name{};
  std::int64_t pid = 0;
  std::string http{};  // HOST:PORT of its metrics; may be empty
};

// The servers under load.
struct Target {
  std::string name{};  // in the table
  // Client i connects to endpoint i modulo their number, of those of its protocol.
  std::vector<wire::Triple> triples{};
  std::vector<client::Target> natives{};
  std::optional<access::ClientKeys> keys{};  // of the clients; none: no CURVE
  std::vector<ProcessId> processes{};        // on this machine, if known
};

struct Topology {
  std::vector<ProcessId> processes{};
  std::vector<wire::ProxyMember> proxies{};

  // At least one proxy is ready and none is starting. A proxy that is down does not count: /readyz
  // of the broker covers the configured proxies.
  bool ready() const;
};

base::Result<Topology> parse_topology(const std::string& json);
base::Result<Topology> fetch_topology(const std::string& broker);

// The ready proxies with a listener for `dialect`; fails when there is none. `natives` holds every
// ready proxy with a native listener.
base::Result<Target> cluster_target(const Topology& topology, const Dialect& dialect);
// The servers at these endpoints (tcp://HOST:PORT), for Clone clients the first of three ports.
Target given_target(const std::vector<std::string>& endpoints, const Dialect& dialect);

}  // namespace canopy::loadtest
