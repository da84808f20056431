#include "client/cli/status.h"

#include <algorithm>
#include <limits>
#include <map>

#include "client/cli/text.h"
#include "core/coordination/coordinator.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"

namespace canopy::client::cli {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

// Without a limit no number stands for it.
std::string limit(std::uint64_t most) {
  return most == std::numeric_limits<std::uint64_t>::max() ? "null" : number(most);
}

std::string revisions_text(const coordination::Vitals& vitals) {
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

std::string json_object(const Process& process) {
  const auto& vitals = process.vitals;
  const auto known = [&](std::uint64_t coordination::Vitals::*field) {
    return vitals ? number((*vitals).*field) : std::string("null");
  };
  std::string revisions;
  if (vitals) {
    for (const auto& [subtree, revision] : vitals->revisions) {
      revisions +=
          (revisions.empty() ? "" : ",") + json_string(subtree) + ":\"" + number(revision) + '"';
    }
  }
  return "{" + json_member("name", process.name) + "," + json_member("state", process.state) +
         ",\"pid\":" + (process.pid == 0 ? "null" : std::to_string(process.pid)) +
         ",\"clients\":" + known(&coordination::Vitals::clients) +
         ",\"fds\":" + known(&coordination::Vitals::fds) +
         ",\"max_fds\":" + (vitals ? limit(vitals->max_fds) : "null") +
         ",\"drops\":" + known(&coordination::Vitals::drops) + ",\"revisions\":{" + revisions +
         "}}";
}

std::string json_array(const std::vector<Process>& processes) {
  std::string text;
  for (const Process& process : processes) text += (text.empty() ? "" : ",") + json_object(process);
  return "[" + text + "]";
}

// The first word of a state says how a replica is doing, the others whom it follows or why.
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

std::string json_object(const std::string& subtree,
                        const coordination::PartitionStatus& partition) {
  std::string in_sync, replicas;
  for (const std::string& shard : partition.in_sync()) {
    in_sync += (in_sync.empty() ? "" : ",") + json_string(shard);
  }
  for (const auto& [shard, state] : partition.replicas) {
    replicas += (replicas.empty() ? "{" : ",{") + json_member("shard", shard) + "," +
                json_member("state", state) + "}";
  }
  const std::string leader = partition.leader();
  return "{" + json_member("partition", keyspace::shown(subtree)) +
         ",\"leader\":" + (leader.empty() ? "null" : json_string(leader)) +
         ",\"epoch\":" + (partition.record ? number(partition.epoch()) : "null") +
         ",\"in_sync\":[" + in_sync + "],\"replicas\":[" + replicas + "]}";
}

void take_record(coordination::PartitionStatuses& partitions, const std::string& key,
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
  std::map<std::string, coordination::Vitals> vitals;
  for (const auto& [key, json] : members.members) {
    if (key.starts_with(coordination::shards_prefix)) {
      const auto shard = coordination::parse_shard_member(json);
      if (!shard) continue;
      status.shards.push_back({shard->name, coordination::state_of(*shard), shard->pid, {}});
      add_replicas(status.partitions, *shard);
    } else if (key.starts_with(coordination::proxies_prefix)) {
      const auto proxy = coordination::parse_proxy_member(json);
      if (proxy) status.proxies.push_back({proxy->name, proxy->state, proxy->pid, {}});
    } else if (key.starts_with(coordination::vitals_prefix)) {
      auto said = coordination::parse_vitals(json);
      if (said) vitals.emplace(said->name, std::move(*said));
    } else {
      take_record(status.partitions, key, json);
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
      const auto said = vitals.find(process.name);
      if (said != vitals.end()) process.vitals = said->second;
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
  std::string partitions;
  for (const auto& [subtree, partition] : status.partitions) {
    partitions += (partitions.empty() ? "" : ",") + json_object(subtree, partition);
  }
  return "{\"shards\":" + json_array(status.shards) + ",\"proxies\":" + json_array(status.proxies) +
         ",\"partitions\":[" + partitions + "]}\n";
}

}  // namespace canopy::client::cli
