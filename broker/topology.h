// The cluster as the broker sees it: the processes of the file beside those of the directory, told
// as JSON, as Prometheus targets, as readiness and as a page for people. Pure.
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
#include "core/coordination/member.h"
#include "core/coordination/partition_status.h"

namespace canopy::broker {

// Who announced themselves, by name, and the records of partitions, by subtree.
struct Members {
  std::map<std::string, coordination::ShardMember> shards{};
  std::map<std::string, coordination::ProxyMember> proxies{};
  std::map<std::string, cluster::PartitionRecord> records{};

  // Takes a change of the directory; those of other keys pass. A value that is no member and no
  // record is an error, and counts as absent.
  base::Status apply(const cluster::KeyChanged& change);

  // The session of `name` has ended without a goodbye, and its keys before it: if it was a proxy,
  // that stays, as "down" and with the address of its metrics, until it is back or forgotten. False
  // when it was none.
  bool lose(const std::string& name);
  void forget(const std::string& name) { proxies.erase(name); }

  base::Status apply_record(const cluster::KeyChanged& change);

  std::optional<coordination::ProxyMember> gone{};  // the proxy whose key went last
  std::set<std::string> drained{};  // proxies that were told to stop: their absence is no failure
};

// The broker itself.
struct Self {
  std::int64_t pid = 0;
  std::string http{};       // as bound
  std::string directory{};  // endpoint
  std::string host{};       // this machine, for addresses bound to every interface
};

// Those of the file in its order, then those that were split off, which have records. These are
// placed as their records say, and have the other settings of the partition around them.
std::vector<config::Partition> partitions_of(const config::Cluster& cluster,
                                             const Members& members);

// The shard with the partitions that it should announce beside those that it does: as "down". These
// are the ones that its records place there, or else the file.
coordination::ShardMember with_placed(const config::Cluster& cluster, const Members& members,
                                      coordination::ShardMember shard);
// Of the file, and those that shards announce. A record outlives its partition.
coordination::PartitionStatuses partition_statuses(const config::Cluster& cluster,
                                                   const Members& members);

// Of a shard, as coordination::state_of() says; of a proxy, what it says of itself. "down" when not
// announced.
std::string state_of(const coordination::ShardMember* shard);
std::string state_of(const coordination::ProxyMember* proxy);
// "drained" for a proxy that is absent because it was told to stop.
std::string proxy_state(const Members& members, const std::string& name);

// Every process of the file, down or not, and those that came by themselves:
//   {"broker": {…}, "shards": […], "proxies": […], "partitions": […]}
std::string topology_json(const config::Cluster& cluster, const Members& members, const Self& self);
nlohmann::ordered_json topology_document(const config::Cluster& cluster, const Members& members,
                                         const Self& self);

// As text for people too; bytes that are no UTF-8 are replaced.
std::string to_text(const nlohmann::ordered_json& document);

// Prometheus HTTP service discovery: [{"targets": ["host:port"], "labels": {"role", "name"}}].
// A process that is down stays a target, so that its absence is seen.
// Unless it is a drained proxy.
std::string targets_json(const config::Cluster& cluster, const Members& members, const Self& self);

// By (role, name): who is there (true) or missed (false), be it of the file or one that came by
// itself and fell silent. A drained proxy is not missed.
std::map<std::pair<std::string, std::string>, bool> presence(const config::Cluster& cluster,
                                                             const Members& members);

// What keeps the cluster from being ready: "proxy/p1" -> "down". Every process of the file is a
// check; one that passes is empty. A partition of the file is one while it fails:
// "partition//a/" -> "not served".
std::map<std::string, std::string> readiness(const config::Cluster& cluster,
                                             const Members& members);

// How many members there are of each (role, state).
std::map<std::pair<std::string, std::string>, int> count_states(const config::Cluster& cluster,
                                                                const Members& members);

// Where to connect and where to look, for whoever started the cluster.
std::string welcome_text(const config::Cluster& cluster, const Members& members, const Self& self);

}  // namespace canopy::broker
