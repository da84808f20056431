// Combines the processes of the file with the members of the directory, and shows the cluster as
// JSON, Prometheus targets, readiness checks and text. Pure. Formats: docs/reference/http.md.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/cluster/registry.h"
#include "core/config/cluster.h"
#include "core/coordination/partition_status.h"
#include "core/wire/member.h"

namespace canopy::broker {

// The announced processes, by name, and the records of partitions, by subtree.
struct Members {
  std::map<std::string, wire::ShardMember> shards{};
  std::map<std::string, wire::ProxyMember> proxies{};
  std::map<std::string, cluster::PartitionRecord> records{};

  // Applies a change of the directory; ignores other keys. A malformed member or record is an error
  // and counts as absent.
  base::Status apply(const cluster::KeyChanged& change);

  // The session of `name` has expired, after its keys were removed. A proxy stays as "down", with
  // the address of its metrics, until it returns or forget() is called. False for other members.
  bool lose(const std::string& name);
  void forget(const std::string& name) { proxies.erase(name); }

  base::Status apply_record(const cluster::KeyChanged& change);

  std::optional<wire::ProxyMember> gone{};  // the last proxy whose key was removed
  std::set<std::string> drained{};          // proxies stopped by an operator: not failures
};

// The broker itself.
struct Self {
  std::int64_t pid = 0;
  std::string http{};       // bound address
  std::string directory{};  // endpoint
  std::string host{};       // this machine, for addresses bound to every interface
};

// The partitions of the file in its order, then the split-off ones. The record of a split-off
// partition has its placement; its other settings are those of the partition around it.
std::vector<config::Partition> partitions_of(const config::Cluster& cluster,
                                             const Members& members);

// The shard with the partitions added that it should announce and does not, as "down". The record,
// or else the file, places a partition on a shard.
wire::ShardMember with_placed(const config::Cluster& cluster, const Members& members,
                              wire::ShardMember shard);
// The statuses of the partitions of the file and of announced ones. A record outlives its
// partition.
coordination::PartitionStatuses partition_statuses(const config::Cluster& cluster,
                                                   const Members& members);

// The state of a shard, from wire::state_of(), and the announced state of a proxy. Null
// (not announced) is "down".
std::string state_of(const wire::ShardMember* shard);
std::string state_of(const wire::ProxyMember* proxy);
// "drained" for an absent proxy that an operator stopped.
std::string proxy_state(const Members& members, const std::string& name);

// Every process of the file, and announced processes that the file does not name:
//   {"broker": {…}, "shards": […], "proxies": […], "partitions": […]}
std::string topology_json(const config::Cluster& cluster, const Members& members, const Self& self);
nlohmann::ordered_json topology_document(const config::Cluster& cluster, const Members& members,
                                         const Self& self);

// Indented text; replaces bytes that are not UTF-8.
std::string to_text(const nlohmann::ordered_json& document);

// Prometheus HTTP service discovery: [{"targets": ["host:port"], "labels": {"role", "name"}}].
// A process that is down stays a target, so that Prometheus reports it; a drained proxy does not.
std::string targets_json(const config::Cluster& cluster, const Members& members, const Self& self);

// By (role, name): present (true) or missing (false), over the processes of the file and expired
// proxies. A drained proxy is not missing.
std::map<std::pair<std::string, std::string>, bool> presence(const config::Cluster& cluster,
                                                             const Members& members);

// The readiness checks: "proxy/p1" -> "down"; empty: passed. Every process of the file has a check.
// A partition of the file has one while it fails: "partition//a/" -> "not served".
std::map<std::string, std::string> readiness(const config::Cluster& cluster,
                                             const Members& members);

// Number of members of each (role, state).
std::map<std::pair<std::string, std::string>, int> count_states(const config::Cluster& cluster,
                                                                const Members& members);

// The addresses to connect to and to observe, as the broker prints them when the cluster is ready.
std::string ready_text(const config::Cluster& cluster, const Members& members, const Self& self);

}  // namespace canopy::broker
