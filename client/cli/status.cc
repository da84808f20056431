#include "client/cli/status.h"

#include <algorithm>
#include <limits>
#include <map>

#include "client/cli/json.h"
#include "client/cli/text.h"
#include "core/coordination/coordinator.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"

namespace canopy::client::cli {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

// Null stands for "no limit".
Json limit(std::uint64_t bound) {
  return bound == std::numeric_limits<std::uint64_t>::max() ? Json() : Json(bound);
}

std::string revisions_text(const wire::Vitals& vitals) {
  std::string text;
  for (const auto& [subtree, revision] : vitals.revisions) {
    text += (text.empty() ? "" : " ") + escaped(subtree) + "=" + number(revision);
  }
  return text.empty() ? "-" : text;
}

Row cells_of(const std::string& role, const Process& process) {
  Row cells = {role, escaped(process.name), escaped(process.state),
               process.pid == 0 ? "-" : std::to_string(process.pid)};
  if (const auto& vitals = process.vitals) {
    cells.insert(cells.end(),
                 {number(vitals->clients), number(vitals->fds) + "/" + number(vitals->max_fds),
                  number(vitals->drops), revisions_text(*vitals)});
  } else {
    cells.insert(cells.end(), {"-", "-", "-", "-"});
  }
  return cells;
}

Json to_json(const Process& process) {
  const auto& vitals = process.vitals;
  const auto known = [&](std::uint64_t wire::Vitals::*field) {
    return vitals ? Json((*vitals).*field) : Json();
  };
  Json revisions = Json::object();
  if (vitals) {
    for (const auto& [subtree, revision] : vitals->revisions) revisions[subtree] = number(revision);
  }
  Json object;
  add_bytes(object, "name", process.name);
  add_bytes(object, "state", process.state);
  object["pid"] = process.pid == 0 ? Json() : Json(process.pid);
  object["clients"] = known(&wire::Vitals::clients);
  object["fds"] = known(&wire::Vitals::fds);
  object["max_fds"] = vitals ? limit(vitals->max_fds) : Json();
  object["drops"] = known(&wire::Vitals::drops);
  object["revisions"] = std::move(revisions);
  return object;
}

// The first word of a replica's state is enough here; the others name its leader, or a reason.
Row cells_of(const std::string& subtree, const coordination::PartitionStatus& partition) {
  std::string in_sync, replicas;
  for (const std::string& shard : partition.in_sync()) {
    in_sync += (in_sync.empty() ? "" : ",") + escaped(shard);
  }
  for (const auto& [shard, state] : partition.replicas) {
    replicas += (replicas.empty() ? "" : ",") + escaped(shard) + "=" +
                escaped(state.substr(0, state.find_first_of(": ")));
  }
  const std::string leader = partition.leader();
  return {escaped(keyspace::shown(subtree)), leader.empty() ? "-" : escaped(leader),
          partition.record ? number(partition.epoch()) : "-", in_sync.empty() ? "-" : in_sync,
          replicas.empty() ? "-" : replicas};
}

Json to_json(const std::string& subtree, const coordination::PartitionStatus& partition) {
  Json replicas = Json::array();
  for (const auto& [shard, state] : partition.replicas) {
    Json replica;
    add_bytes(replica, "shard", shard);
    add_bytes(replica, "state", state);
    replicas.push_back(std::move(replica));
  }
  const std::string leader = partition.leader();
  Json object;
  add_bytes(object, "partition", keyspace::shown(subtree));
  object["leader"] = leader.empty() ? Json() : Json(leader);
  object["epoch"] = partition.record ? Json(partition.epoch()) : Json();
  object["in_sync"] = partition.in_sync();
  object["replicas"] = std::move(replicas);
  return object;
}

void add_record(coordination::PartitionStatuses& partitions, const std::string& key,
                const std::string& json) {
  const auto subtree = coordination::subtree_of(key);
  auto record = coordination::parse_partition_record(json);
  if (subtree && record) partitions[*subtree].record = std::move(*record);
}

}  // namespace

bool ClusterStatus::well() const {
  const auto ready = [](const Process& shard) { return shard.state == "ready"; };
  const auto serves = [](const Process& proxy) {
    return proxy.state == "ready" || proxy.state == "full";
  };
  const auto well = [&](const Process& proxy) { return serves(proxy) || proxy.state == "drained"; };
  const auto safe = [](const auto& partition) { return partition.second.trouble().empty(); };
  return !shards.empty() && std::ranges::all_of(shards, ready) &&
         std::ranges::any_of(proxies, serves) && std::ranges::all_of(proxies, well) &&
         std::ranges::all_of(partitions, safe);
}

ClusterStatus status_of(const wire::native::Members& members) {
  ClusterStatus status;
  std::map<std::string, wire::Vitals> vitals;
  for (const auto& [key, json] : members.members) {
    if (key.starts_with(coordination::shards_prefix)) {
      const auto shard = wire::parse_shard_member(json);
      if (!shard) continue;
      status.shards.push_back({shard->name, wire::state_of(*shard), shard->pid, {}});
      add_replicas(status.partitions, *shard);
    } else if (key.starts_with(coordination::proxies_prefix)) {
      const auto proxy = wire::parse_proxy_member(json);
      if (proxy) status.proxies.push_back({proxy->name, proxy->state, proxy->pid, {}});
    } else if (key.starts_with(coordination::vitals_prefix)) {
      auto parsed = wire::parse_vitals(json);
      if (parsed) vitals.emplace(parsed->name, std::move(*parsed));
    } else {
      add_record(status.partitions, key, json);
    }
  }
  // A record outlives its partition.
  std::erase_if(status.partitions, [](const auto& each) { return each.second.replicas.empty(); });
  for (auto& [subtree, partition] : status.partitions) {
    std::ranges::sort(partition.replicas, {}, &coordination::ReplicaStatus::shard);
  }
  for (auto* processes : {&status.shards, &status.proxies}) {
    std::ranges::sort(*processes, {}, &Process::name);
    for (Process& process : *processes) {
      const auto found = vitals.find(process.name);
      if (found != vitals.end()) process.vitals = found->second;
    }
  }
  return status;
}

std::string to_table(const ClusterStatus& status) {
  std::vector<Row> rows = {
      {"ROLE", "NAME", "STATE", "PID", "CLIENTS", "FDS", "DROPS", "REVISIONS"}};
  for (const Process& shard : status.shards) rows.push_back(cells_of("shard", shard));
  for (const Process& proxy : status.proxies) rows.push_back(cells_of("proxy", proxy));
  std::vector<Row> partitions = {{"PARTITION", "LEADER", "EPOCH", "IN_SYNC", "REPLICAS"}};
  for (const auto& [subtree, partition] : status.partitions) {
    partitions.push_back(cells_of(subtree, partition));
  }
  return aligned(rows) + "\n" + aligned(partitions);
}

std::string to_json(const ClusterStatus& status) {
  Json all = {{"shards", Json::array()}, {"proxies", Json::array()}, {"partitions", Json::array()}};
  for (const Process& shard : status.shards) all["shards"].push_back(to_json(shard));
  for (const Process& proxy : status.proxies) all["proxies"].push_back(to_json(proxy));
  for (const auto& [subtree, partition] : status.partitions) {
    all["partitions"].push_back(to_json(subtree, partition));
  }
  return json_line(all);
}

}  // namespace canopy::client::cli
