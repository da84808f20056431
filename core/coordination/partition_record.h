// The record of a partition (core/cluster/partition_record.h) in the directory: its key, and its
// value as JSON. Pure.
//
//   "partitions/SUBTREE": {"epoch":7,"lineage":"00000000000000ff",
//     "leader":{"shard":"s1","identity":"…"},"in_sync":[{"shard":"s1","identity":"…"},…],
//     "placement":["s1","s2"],"splits":["/a/b/"],"parent":"*"}
//
// Without "placement" the shards of the configuration are meant. "splits" and "parent" are left out
// where there are none.
// The lineage is text of 16 hexadecimal digits: a number of JSON is exact up to 53 bits only.
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
// Of which partition this is the key, under `prefix`; an error where it is of none.
base::Result<std::string> subtree_of(const std::string& key,
                                     std::string_view prefix = partitions_prefix);

std::string to_json(const cluster::PartitionRecord& record);
// An error says what of a record does not hold; unknown fields are left alone.
base::Result<cluster::PartitionRecord> parse_partition_record(const std::string& json);

}  // namespace canopy::coordination
