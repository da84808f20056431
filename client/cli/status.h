// The state of a cluster's processes and partitions, from the entries of its directory. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/coordination/partition_status.h"
#include "core/wire/member.h"
#include "core/wire/native_broker.h"

namespace canopy::client::cli {

struct Process {
  std::string name{};
  std::string state{};
  std::int64_t pid = 0;                  // 0: not known
  std::optional<wire::Vitals> vitals{};  // absent: not reported yet
};

struct ClusterStatus {
  std::vector<Process> shards{}, proxies{};      // by name
  coordination::PartitionStatuses partitions{};  // their replicas by name of the shard

  // Every process runs and serves; a proxy may be full or drained. Every partition is in sync on
  // all its replicas.
  bool well() const;
};

// Members that cannot be read are left out.
ClusterStatus status_of(const wire::native::Members& members);

// One table of the processes, and one of the partitions.
std::string to_table(const ClusterStatus& status);
// {"shards":[…],"proxies":[…],"partitions":[…]}. Null stands for a value that is unknown, or for no
// limit. Revisions are strings.
std::string to_json(const ClusterStatus& status);

}  // namespace canopy::client::cli
