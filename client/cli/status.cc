#include "client/cli/status.h"

#include <algorithm>
#include <limits>
#include <map>

#include "client/cli/text.h"
#include "core/coordination/coordinator.h"

namespace canopy::client::cli {
namespace {

using coordination::PartitionState;

// The worst of its partitions, without the reason.
std::string state_of(const coordination::ShardMember& shard) {
  std::string state = "ready";
  for (const PartitionState& partition : shard.partitions) {
    if (partition.state == "serving") continue;
    if (partition.state.starts_with("failed")) return "failed";
    const bool full = partition.state.starts_with("full");
    if (!full || state == "ready") state = full ? "full" : partition.state;
  }
  return state;
}

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

}  // namespace

bool ClusterStatus::well() const {
  const auto ready = [](const Process& shard) { return shard.state == "ready"; };
  const auto serves = [](const Process& proxy) {
    return proxy.state == "ready" || proxy.state == "full";
  };
  const auto well = [&](const Process& proxy) { return serves(proxy) || proxy.state == "drained"; };
  return !shards.empty() && std::ranges::all_of(shards, ready) &&
         std::ranges::any_of(proxies, serves) && std::ranges::all_of(proxies, well);
}

ClusterStatus status_of(const wire::native::Members& members) {
  ClusterStatus status;
  std::map<std::string, coordination::Vitals> vitals;
  for (const auto& [key, json] : members.members) {
    if (key.starts_with(coordination::shards_prefix)) {
      const auto shard = coordination::parse_shard_member(json);
      if (shard) status.shards.push_back({shard->name, state_of(*shard), shard->pid, {}});
    } else if (key.starts_with(coordination::proxies_prefix)) {
      const auto proxy = coordination::parse_proxy_member(json);
      if (proxy) status.proxies.push_back({proxy->name, proxy->state, proxy->pid, {}});
    } else if (key.starts_with(coordination::vitals_prefix)) {
      auto said = coordination::parse_vitals(json);
      if (said) vitals.emplace(said->name, std::move(*said));
    }
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
  return aligned(rows);
}

std::string to_json(const ClusterStatus& status) {
  return "{\"shards\":" + json_array(status.shards) + ",\"proxies\":" + json_array(status.proxies) +
         "}\n";
}

}  // namespace canopy::client::cli
