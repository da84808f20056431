#include "broker/topology.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <vector>

#include "core/coordination/coordinator.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"
#include "core/keyspace/partition_map.h"

namespace canopy::broker {
namespace {

using wire::PartitionState;
using wire::ProxyMember;
using wire::ShardMember;
using json = nlohmann::ordered_json;
using keyspace::shown;

constexpr const char* down = "down";
constexpr const char* drained = "drained";

template <typename Value>
const Value* find(const std::map<std::string, Value>& all, const std::string& name) {
  const auto found = all.find(name);
  return found == all.end() ? nullptr : &found->second;
}

// The names of the file in its order, then names that only the directory has.
template <typename Configured, typename Member>
std::vector<std::string> all_names(const std::vector<Configured>& configured,
                                   const std::map<std::string, Member>& members) {
  std::vector<std::string> names;
  for (const Configured& each : configured) names.push_back(each.name);
  for (const auto& [name, member] : members) {
    if (std::ranges::find(configured, name, &Configured::name) == configured.end()) {
      names.push_back(name);
    }
  }
  return names;
}

// An announced state may be empty, or have details after a colon.
std::string first_word(const std::string& state) {
  return state.empty() ? "unknown" : state.substr(0, state.find(':'));
}

const char* durability(const config::Partition& partition) {
  return partition.durability == config::Durability::disk ? "disk" : "memory";
}

json replica_entries(const config::Cluster& cluster, const Members& members,
                     const ShardMember& shard) {
  std::map<std::string_view, const config::Partition*> configured;
  const auto partitions = partitions_of(cluster, members);
  for (const auto& partition : partitions) configured[partition.subtree] = &partition;
  json entries = json::array();
  for (const PartitionState& replica : shard.partitions) {
    json entry = {{"subtree", shown(replica.subtree)}, {"state", replica.state}};
    if (replica.epoch != 0) entry["epoch"] = replica.epoch;
    const auto found = configured.find(replica.subtree);
    if (found != configured.end()) entry["durability"] = durability(*found->second);
    entries.push_back(std::move(entry));
  }
  return entries;
}

json shard_entry(const config::Cluster& cluster, const Members& members, const std::string& name) {
  const ShardMember* member = find(members.shards, name);
  const ShardMember whole =
      with_placed(cluster, members, member ? *member : ShardMember{.name = name});
  json entry = {{"name", name},
                {"state", state_of(member)},
                {"partitions", replica_entries(cluster, members, whole)}};
  const config::Shard* configured = cluster.find_shard(name);
  if (configured != nullptr) entry["nofile"] = configured->nofile;
  if (member == nullptr) return entry;
  entry["pid"] = member->pid;
  entry["requests"] = member->requests;
  entry["updates"] = member->updates;
  entry["http"] = member->http;
  return entry;
}

// The state of the leader, or else of the first replica.
json partition_entry(const std::string& subtree, const coordination::PartitionStatus& status,
                     const config::Partition* configured) {
  const std::string leader = status.leader();
  json replicas = json::array();
  std::string state;
  for (const auto& replica : status.replicas) {
    replicas.push_back({{"shard", replica.shard}, {"state", replica.state}});
    if (state.empty() || replica.shard == leader) state = replica.state;
  }
  json entry = {{"subtree", shown(subtree)},
                {"state", state.empty() ? down : state},
                {"leader", leader.empty() ? json(nullptr) : json(leader)},
                {"epoch", status.record ? json(status.epoch()) : json(nullptr)},
                {"in_sync", status.in_sync()},
                {"replicas", std::move(replicas)}};
  if (configured != nullptr) entry["durability"] = durability(*configured);
  return entry;
}

// The partitions of the file in its order, then the others.
json partition_entries(const config::Cluster& cluster, const Members& members) {
  json entries = json::array();
  auto statuses = partition_statuses(cluster, members);
  for (const config::Partition& partition : partitions_of(cluster, members)) {
    const auto status = statuses.extract(partition.subtree);
    if (status) entries.push_back(partition_entry(partition.subtree, status.mapped(), &partition));
  }
  for (const auto& [subtree, status] : statuses) {
    entries.push_back(partition_entry(subtree, status, nullptr));
  }
  return entries;
}

json triple_entry(const wire::Triple& triple) {
  return {
      {"snapshot", triple.snapshot}, {"updates", triple.updates}, {"collector", triple.collector}};
}

json proxy_entry(const Members& members, const std::string& name, const config::Proxy* configured) {
  const ProxyMember* member = find(members.proxies, name);
  json entry = {{"name", name}, {"state", proxy_state(members, name)}};
  if (configured != nullptr) {
    entry["max_clients"] = configured->max_clients;
    entry["nofile"] = configured->nofile;
  }
  if (member == nullptr) return entry;
  entry["pid"] = member->pid;
  entry["clients"] = member->clients;
  entry["max_clients"] = member->max_clients;
  entry["http"] = member->http;
  if (!member->native.empty()) entry["native"] = member->native;
  if (member->kvsimple) entry["kvsimple"] = triple_entry(*member->kvsimple);
  if (member->kvmsg) entry["kvmsg"] = triple_entry(*member->kvmsg);
  if (member->chp) entry["chp"] = triple_entry(*member->chp);
  return entry;
}

class Targets {
 public:
  explicit Targets(const std::string& host) : host_(host) {}

  // `announced` may be empty, and `configured` leave the port open.
  void add(const char* role, const std::string& name, const std::string& announced,
           const std::string& configured, const std::string& advertise) {
    const std::string& address = announced.empty() ? configured : announced;
    if (address.empty() || address.ends_with(":0")) return;
    // The host that `auto` stands for is unknown while the process is down.
    const bool unknown = advertise.empty() || advertise == config::auto_advertise;
    list_.push_back({{"targets", {base::advertised_http(address, unknown ? host_ : advertise)}},
                     {"labels", {{"role", role}, {"name", name}}}});
  }
  const json& list() const { return list_; }

 private:
  const std::string& host_;
  json list_ = json::array();
};

}  // namespace

base::Status Members::apply(const cluster::KeyChanged& change) {
  const auto apply_member = [&](auto& members, const char* prefix, auto parse) -> base::Status {
    const std::string name = change.key.substr(std::string_view(prefix).size());
    members.erase(name);
    if (!change.value) return {};
    auto member = parse(*change.value);
    if (!member) return base::Error{change.key + ": " + member.error()};
    if (member->name != name) return base::Error{change.key + ": 'name' is " + member->name};
    members.emplace(name, std::move(*member));
    return {};
  };
  if (change.key.starts_with(coordination::shards_prefix)) {
    return apply_member(shards, coordination::shards_prefix, wire::parse_shard_member);
  }
  if (change.key.starts_with(coordination::proxies_prefix)) {
    const auto* present =
        find(proxies, change.key.substr(std::string_view(coordination::proxies_prefix).size()));
    if (present != nullptr && !change.value) gone = *present;
    return apply_member(proxies, coordination::proxies_prefix, wire::parse_proxy_member);
  }
  return change.key.starts_with(coordination::partitions_prefix) ? apply_record(change)
                                                                 : base::Status();
}

base::Status Members::apply_record(const cluster::KeyChanged& change) {
  const auto subtree = coordination::subtree_of(change.key);
  if (!subtree) return base::Error{subtree.error()};
  records.erase(*subtree);
  if (!change.value) return {};
  auto record = coordination::parse_partition_record(*change.value);
  if (!record) return base::Error{change.key + ": " + record.error()};
  records.emplace(*subtree, std::move(*record));
  return {};
}

bool Members::lose(const std::string& name) {
  if (!gone || gone->name != name) return false;
  proxies[name] = {.name = name, .http = gone->http, .state = down};
  gone.reset();
  return true;
}

std::vector<config::Partition> partitions_of(const config::Cluster& cluster,
                                             const Members& members) {
  std::vector<config::Partition> partitions = cluster.partitions;
  keyspace::PartitionMap map;
  for (const config::Partition& partition : partitions) map.add(partition.subtree);
  for (const auto& [subtree, record] : members.records) {
    const std::size_t around = map.owner(subtree);
    if (!record.parent || map.find(subtree) != map.size() || around >= cluster.partitions.size()) {
      continue;
    }
    config::Partition& added = partitions.emplace_back(cluster.partitions[around]);
    added.subtree = subtree;
    if (!record.placement.empty()) added.on = record.placement;
  }
  return partitions;
}

ShardMember with_placed(const config::Cluster& cluster, const Members& members, ShardMember shard) {
  std::set<std::string> announced;
  for (const PartitionState& partition : shard.partitions) announced.insert(partition.subtree);
  for (const config::Partition& partition : partitions_of(cluster, members)) {
    const auto* record = find(members.records, partition.subtree);
    const bool moved = record != nullptr && !record->placement.empty();
    const std::vector<std::string>& placement = moved ? record->placement : partition.on;
    if (announced.contains(partition.subtree) || std::ranges::count(placement, shard.name) == 0) {
      continue;
    }
    shard.partitions.push_back({.subtree = partition.subtree, .state = down});
  }
  return shard;
}

coordination::PartitionStatuses partition_statuses(const config::Cluster& cluster,
                                                   const Members& members) {
  coordination::PartitionStatuses statuses;
  for (const std::string& name : all_names(cluster.shards, members.shards)) {
    const ShardMember* member = find(members.shards, name);
    add_replicas(statuses,
                 with_placed(cluster, members, member ? *member : ShardMember{.name = name}));
  }
  for (auto& [subtree, status] : statuses) {
    const auto record = members.records.find(subtree);
    if (record != members.records.end()) status.record = record->second;
  }
  return statuses;
}

std::string state_of(const ShardMember* shard) {
  return shard == nullptr ? down : wire::state_of(*shard);
}

std::string state_of(const ProxyMember* proxy) { return proxy ? first_word(proxy->state) : down; }

std::string proxy_state(const Members& members, const std::string& name) {
  const std::string state = state_of(find(members.proxies, name));
  return state == down && members.drained.contains(name) ? drained : state;
}

std::string to_text(const json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string topology_json(const config::Cluster& cluster, const Members& members,
                          const Self& self) {
  return to_text(topology_document(cluster, members, self));
}

json topology_document(const config::Cluster& cluster, const Members& members, const Self& self) {
  json shards = json::array();
  for (const std::string& name : all_names(cluster.shards, members.shards)) {
    shards.push_back(shard_entry(cluster, members, name));
  }
  json proxies = json::array();
  for (const std::string& name : all_names(cluster.proxies, members.proxies)) {
    proxies.push_back(proxy_entry(members, name, cluster.find_proxy(name)));
  }
  return {{"broker",
           {{"name", cluster.broker.name},
            {"pid", self.pid},
            {"http", self.http},
            {"directory", self.directory}}},
          {"shards", std::move(shards)},
          {"proxies", std::move(proxies)},
          {"partitions", partition_entries(cluster, members)}};
}

std::string targets_json(const config::Cluster& cluster, const Members& members, const Self& self) {
  Targets targets(self.host);
  targets.add("broker", cluster.broker.name, self.http, {}, cluster.broker.advertise);
  const auto add = [&](const char* role, const auto& name, const auto* configured,
                       const auto* member) {
    targets.add(role, name, member ? member->http : std::string(),
                configured ? configured->http : std::string(),
                configured ? configured->advertise : std::string());
  };
  for (const std::string& name : all_names(cluster.shards, members.shards)) {
    add("shard", name, cluster.find_shard(name), find(members.shards, name));
  }
  for (const std::string& name : all_names(cluster.proxies, members.proxies)) {
    const ProxyMember* member = find(members.proxies, name);
    if (member != nullptr || !members.drained.contains(name)) {
      add("proxy", name, cluster.find_proxy(name), member);
    }
  }
  return to_text(targets.list());
}

std::map<std::string, std::string> readiness(const config::Cluster& cluster,
                                             const Members& members) {
  std::map<std::string, std::string> checks;
  for (const config::Shard& shard : cluster.shards) {
    const ShardMember* member = find(members.shards, shard.name);
    std::string& why = checks["shard/" + shard.name];
    if (member == nullptr) why = down;
    if (member == nullptr) continue;
    for (const PartitionState& partition : member->partitions) {
      if (partition.well()) continue;
      why += (why.empty() ? "partition " : "; partition ") + shown(partition.subtree) + " " +
             partition.state;
    }
  }
  for (const config::Proxy& proxy : cluster.proxies) {
    const std::string state = proxy_state(members, proxy.name);
    checks["proxy/" + proxy.name] = state == down || state == "starting" ? state : "";
  }
  const auto statuses = partition_statuses(cluster, members);
  for (const config::Partition& partition : partitions_of(cluster, members)) {
    const auto found = statuses.find(partition.subtree);
    const std::string why = found == statuses.end() ? down : found->second.trouble();
    if (!why.empty()) checks["partition/" + shown(partition.subtree)] = why;
  }
  return checks;
}

std::map<std::pair<std::string, std::string>, bool> presence(const config::Cluster& cluster,
                                                             const Members& members) {
  std::map<std::pair<std::string, std::string>, bool> processes;
  for (const std::string& name : all_names(cluster.shards, members.shards)) {
    processes[{"shard", name}] = state_of(find(members.shards, name)) != down;
  }
  for (const std::string& name : all_names(cluster.proxies, members.proxies)) {
    const std::string state = proxy_state(members, name);
    if (state != drained) processes[{"proxy", name}] = state != down;
  }
  return processes;
}

std::map<std::pair<std::string, std::string>, int> count_states(const config::Cluster& cluster,
                                                                const Members& members) {
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const std::string& name : all_names(cluster.shards, members.shards)) {
    ++counts[{"shard", state_of(find(members.shards, name))}];
  }
  for (const std::string& name : all_names(cluster.proxies, members.proxies)) {
    ++counts[{"proxy", proxy_state(members, name)}];
  }
  return counts;
}

}  // namespace canopy::broker
