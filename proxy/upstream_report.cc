// What a proxy says of its links and mirrors, to Prometheus and to whoever asks whether it is
// ready.
#include <algorithm>

#include "core/keyspace/key.h"
#include "proxy/upstream.h"

namespace canopy::proxy {

using cluster::Mirror;
using keyspace::shown;

void Upstream::report() {
  for (auto& link : links_) {
    link->queue_bytes.Set(static_cast<double>(link->writes.bytes()));
    const bool heard = heard_lately(*link);
    const bool needed = std::ranges::any_of(partitions_, [&](const Partition& partition) {
      return partition.slot && links_[partition.link] == link;
    });
    link->up.Set(heard ? 1 : 0);
    link->silent.Set(needed && !heard ? 1 : 0);
  }
  for (const Partition& partition : partitions_) {
    if (!partition.slot) continue;
    const Mirror& mirror = partition.slot->mirror;
    const metrics::Labels label{{"partition", shown(mirror.partition())}};
    metrics_.keys.Add(label).Set(static_cast<double>(mirror.tree().size()));
    metrics_.state_bytes.Add(label).Set(static_cast<double>(mirror.tree().bytes()));
    metrics_.epoch.Add(label).Set(mirror.revision().epoch());
    metrics_.revision.Add(label).Set(static_cast<double>(mirror.revision().counter()));
    metrics_.held_updates.Add(label).Set(static_cast<double>(mirror.held_updates()));
    metrics_.held_bytes.Add(label).Set(static_cast<double>(mirror.held_bytes()));
  }
}

std::map<std::string, std::string> Upstream::checks() const {
  std::map<std::string, std::string> result;
  for (const auto& link : links_) {
    result["shard " + link->name] = link->requests_endpoint.empty() ? "not in the directory" : "";
  }
  for (const Partition& partition : partitions_) {
    if (!partition.slot) continue;
    const Link& link = *links_[partition.link];
    const Mirror& mirror = partition.slot->mirror;
    if (!mirror.refusal().empty()) {
      result["partition " + shown(mirror.partition())] = mirror.refusal();
    } else if (!heard_lately(link)) {
      result["shard " + link.name] = "not heard";
    }
  }
  return result;
}

}  // namespace canopy::proxy
