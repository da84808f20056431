// The record of a partition (core/cluster/partition_record.h) in the directory: its key, and its
// value as JSON. Pure.
//
//   "partitions/SUBTREE": {"epoch":7,"lineage":"00000000000000ff",
//     "leader":{"shard":"s1","identity":"…"},"in_sync":[{"shard":"s1","identity":"…"},…],
//     "placement":["s1","s2"],"splits":["/a/b/"],"parent":"*"}
//
// Without "placement" the shards of the configuration hold the replicas. Empty "splits" and
// "parent" are left out. The lineage is 16 hexadecimal digits: JSON numbers are exact up to 53 bits
// only.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/cluster/partition_record.h"
#include "core/coordination/coordinator.h"

namespace canopy::coordination {

// The root is "partitions/*".
std::string partition_key(const std::string& subtree);
std::string election_key(const std::string& subtree);
// The partition whose key under `prefix` this is; an error if it is none.
base::Result<std::string> subtree_of(const std::string& key,
                                     std::string_view prefix = partitions_prefix);

std::string to_json(const cluster::PartitionRecord& record);
// An error names the field that is wrong; unknown fields are ignored.
base::Result<cluster::PartitionRecord> parse_partition_record(const std::string& json);

}  // namespace canopy::coordination
