// The interface to the partitions that a proxy mirrors, by index: the configured ones in their
// order, then those split off later. Belongs to the node's loop.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/cluster/mirror.h"

namespace canopy::proxy {

// The revision up to which a client knows a partition.
struct Known {
  std::size_t partition = 0;
  keyspace::Revision revision{};  // 0: the client's state is of another history
};

class Partitions {
 public:
  virtual ~Partitions() = default;
  // The partitions that may hold keys under the prefix.
  virtual std::vector<std::size_t> covering(std::string_view prefix) const = 0;
  virtual const std::string& subtree(std::size_t partition) const = 0;
  virtual const std::string& shard_name(std::size_t shard) const = 0;
  // Null while it is not mirrored.
  virtual const cluster::Mirror* mirror(std::size_t partition) const = 0;
};

}  // namespace canopy::proxy
