#include "core/coordination/partition_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/cluster/directory_record.h"
#include "core/keyspace/key.h"

namespace canopy::coordination {
namespace {

using cluster::PartitionRecord;
using cluster::ReplicaId;
using nlohmann::json;

constexpr std::size_t lineage_digits = 16;

json to_document(const ReplicaId& replica) {
  return {{"shard", replica.shard}, {"identity", replica.identity}};
}

// The field of an object; null when there is none.
const json& field(const json& object, const char* name) {
  static const json none;
  if (!object.is_object()) return none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

bool read(const json& value, std::uint32_t& epoch) {
  if (!value.is_number_unsigned()) return false;
  const auto number = value.get<std::uint64_t>();
  epoch = static_cast<std::uint32_t>(number);
  return number > 0 && number <= cluster::DirectoryRecord::max_generation;
}

bool read(const json& value, std::uint64_t& lineage) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, lineage, 16);
  return text.size() == lineage_digits && error == std::errc() && at == end && lineage != 0;
}

bool read(const json& value, ReplicaId& replica) {
  const json& shard = field(value, "shard");
  const json& identity = field(value, "identity");
  if (!shard.is_string() || !identity.is_string()) return false;
  replica = {shard.get<std::string>(), identity.get<std::string>()};
  return !replica.shard.empty() && !replica.identity.empty();
}

bool read(const json& value, std::vector<ReplicaId>& replicas) {
  if (!value.is_array()) return false;
  for (const json& each : value) {
    if (!read(each, replicas.emplace_back())) return false;
  }
  return std::ranges::adjacent_find(replicas, std::greater_equal()) == replicas.end();
}

bool read(const json& value, std::vector<std::string>& shards) {
  if (!value.is_array()) return false;
  for (const json& each : value) {
    if (!each.is_string() || each.get_ref<const std::string&>().empty()) return false;
    shards.push_back(each.get<std::string>());
  }
  return std::set(shards.begin(), shards.end()).size() == shards.size();
}

base::Result<std::string> subtree_as_shown(const std::string& text) {
  if (text == "*") return std::string();
  if (text.empty() || !keyspace::is_subtree(text)) return base::Error{"no subtree"};
  return text;
}

bool take_splits(const json& value, std::vector<std::string>& splits) {
  if (value.is_null()) return true;
  if (!read(value, splits)) return false;
  return std::ranges::all_of(splits,
                             [](const std::string& split) { return keyspace::is_subtree(split); });
}

bool take_parent(const json& value, std::optional<std::string>& parent) {
  if (value.is_null()) return true;
  if (!value.is_string()) return false;
  auto subtree = subtree_as_shown(value.get<std::string>());
  if (!subtree) return false;
  parent = std::move(*subtree);
  return true;
}

}  // namespace

std::string partition_key(const std::string& subtree) {
  return partitions_prefix + keyspace::shown(subtree);
}

std::string election_key(const std::string& subtree) {
  return elections_prefix + keyspace::shown(subtree);
}

base::Result<std::string> subtree_of(const std::string& key, std::string_view prefix) {
  const std::string subtree = key.starts_with(prefix) ? key.substr(prefix.size()) : std::string();
  auto named = subtree_as_shown(subtree);
  if (!named) return base::Error{key + ": not the key of a partition"};
  return named;
}

std::string to_json(const PartitionRecord& record) {
  json in_sync = json::array();
  for (const ReplicaId& replica : record.in_sync) in_sync.push_back(to_document(replica));
  json document = {{"epoch", record.epoch},
                   {"lineage", fmt::format("{:016x}", record.lineage)},
                   {"leader", to_document(record.leader)},
                   {"in_sync", std::move(in_sync)}};
  if (!record.placement.empty()) document["placement"] = record.placement;
  if (!record.splits.empty()) document["splits"] = record.splits;
  if (record.parent) document["parent"] = keyspace::shown(*record.parent);
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

base::Result<PartitionRecord> parse_partition_record(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return base::Error{"not a JSON object"};
  PartitionRecord record;
  if (!read(field(document, "epoch"), record.epoch)) return base::Error{"'epoch' is not an epoch"};
  if (!read(field(document, "lineage"), record.lineage)) {
    return base::Error{"'lineage' is not 16 hexadecimal digits, or is 0"};
  }
  if (!read(field(document, "leader"), record.leader)) {
    return base::Error{"'leader' is not a replica"};
  }
  if (!read(field(document, "in_sync"), record.in_sync)) {
    return base::Error{"'in_sync' is not a list of replicas in ascending order"};
  }
  const json& placement = field(document, "placement");
  if (!placement.is_null() && !read(placement, record.placement)) {
    return base::Error{"'placement' is not a list of different shards"};
  }
  if (!take_splits(field(document, "splits"), record.splits)) {
    return base::Error{"'splits' is not a list of different subtrees"};
  }
  if (!take_parent(field(document, "parent"), record.parent)) {
    return base::Error{"'parent' is not a subtree"};
  }
  if (std::ranges::find(record.in_sync, record.leader) == record.in_sync.end()) {
    return base::Error{"the leader is not in sync"};
  }
  return record;
}

}  // namespace canopy::coordination
