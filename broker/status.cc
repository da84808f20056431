#include "broker/status.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "core/keyspace/revision.h"

namespace canopy::broker {
namespace {

using json = nlohmann::ordered_json;

// "No limit" becomes null.
json limit(std::uint64_t value) {
  return value == std::numeric_limits<std::uint64_t>::max() ? json(nullptr) : json(value);
}

json split(std::uint64_t value) {
  const keyspace::Revision revision(value);
  return {{"epoch", revision.epoch()}, {"counter", revision.counter()}};
}

// Vitals and rates common to all processes; null while the process has reported nothing.
void add_vitals(json& process, const VitalsBook::Entry* entry, base::TimePoint now) {
  const auto known = [&](const char* field, const auto& value) {
    process[field] = entry == nullptr ? json(nullptr) : json(value(entry->vitals));
  };
  const auto rate = [&](const char* field, double Rates::*which) {
    process[field] =
        entry == nullptr || !entry->rates ? json(nullptr) : json((*entry->rates).*which);
  };
  using wire::Vitals;
  known("fds", [](const Vitals& v) { return v.fds; });
  known("max_fds", [](const Vitals& v) { return limit(v.max_fds); });
  known("uptime_ms", [](const Vitals& v) { return v.uptime_ms; });
  known("updates_total", [](const Vitals& v) { return v.updates; });
  rate("updates_per_s", &Rates::updates);
  process["silent_ms"] = entry == nullptr ? json(nullptr) : json(base::in_ms(now - entry->heard));
}

void add_revision(json& partition, const VitalsBook::Entry* entry) {
  partition["revision"] = nullptr;
  if (entry == nullptr) return;
  const auto& revisions = entry->vitals.revisions;
  const auto found = revisions.find(partition["subtree"].get_ref<const std::string&>());
  if (found != revisions.end()) partition["revision"] = split(found->second);
}

void add_shard_vitals(json& shard, const VitalsBook::Entry* entry) {
  shard["proxies"] = entry == nullptr ? json(nullptr) : json(entry->vitals.clients);
  for (json& partition : shard["partitions"]) add_revision(partition, entry);
}

void add_proxy_vitals(json& proxy, const VitalsBook::Entry* entry) {
  json mirrors = json::object();
  if (entry != nullptr) {
    for (const auto& [subtree, value] : entry->vitals.revisions) mirrors[subtree] = split(value);
    const auto& vitals = entry->vitals;
    proxy["deliveries_total"] = vitals.deliveries;
    proxy["delivered_bytes_total"] = vitals.delivered_bytes;
    proxy["drops_total"] = vitals.drops;
    proxy["flush_interval_ms"] = static_cast<double>(vitals.flush_interval_us) / 1000;
  } else {
    for (const char* field :
         {"deliveries_total", "delivered_bytes_total", "drops_total", "flush_interval_ms"}) {
      proxy[field] = nullptr;
    }
  }
  const bool moving = entry != nullptr && entry->rates;
  proxy["deliveries_per_s"] = moving ? json(entry->rates->deliveries) : json(nullptr);
  proxy["bytes_per_s"] = moving ? json(entry->rates->delivered_bytes) : json(nullptr);
  proxy["drops_per_s"] = moving ? json(entry->rates->drops) : json(nullptr);
  proxy["mirrors"] = std::move(mirrors);
}

}  // namespace

std::string status_json(const config::Cluster& cluster, const Members& members, const Self& self,
                        const VitalsBook& vitals, const Moment& moment) {
  json document = topology_document(cluster, members, self);
  document["broker"].update({{"version", CANOPY_VERSION},
                             {"state", moment.stopping ? "stopping" : "ready"},
                             {"fds", moment.fds},
                             {"max_fds", limit(moment.max_fds)},
                             {"uptime_ms", base::in_ms(moment.now - moment.started)}});
  for (json& shard : document["shards"]) {
    const auto* entry = vitals.find(shard["name"]);
    add_vitals(shard, entry, moment.now);
    add_shard_vitals(shard, entry);
  }
  for (json& proxy : document["proxies"]) {
    const auto* entry = vitals.find(proxy["name"]);
    add_vitals(proxy, entry, moment.now);
    add_proxy_vitals(proxy, entry);
  }
  for (json& partition : document["partitions"]) {
    const json& leader = partition["leader"];
    add_revision(partition, leader.is_null() ? nullptr : vitals.find(leader));
  }
  return to_text(document);
}

}  // namespace canopy::broker
