#include "core/config/placement.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/text.h"
#include "core/keyspace/key.h"

namespace canopy::config {
namespace {

using keyspace::shown;

bool is_placed(const Partition& partition) { return !partition.on.front().empty(); }

class Spread {
 public:
  explicit Spread(const Cluster& cluster) {
    for (const Shard& shard : cluster.shards) loads_.push_back({.name = shard.name});
    std::ranges::sort(loads_, {}, &Load::name);
    std::map<std::string_view, Load*> by_name;
    for (Load& load : loads_) by_name[load.name] = &load;
    for (const Partition& partition : cluster.partitions) {
      if (!is_placed(partition)) continue;
      ++by_name.at(partition.on.front())->led;
      for (const std::string& name : partition.on) ++by_name.at(name)->replicas;
    }
  }

  // The shard with the fewest partitions to lead gets the leader; the shards with the fewest
  // replicas get followers.
  void place(Partition& partition) {
    std::vector<std::size_t> chosen;
    for (std::string& name : partition.on) {
      std::size_t best = loads_.size();
      for (std::size_t i = 0; i < loads_.size(); ++i) {
        if (std::ranges::find(chosen, i) != chosen.end()) continue;
        if (best == loads_.size() || better(i, best, chosen)) best = i;
      }
      chosen.push_back(best);
      name = loads_[best].name;
      ++loads_[best].replicas;
    }
    ++loads_[chosen.front()].led;
  }

 private:
  struct Load {
    std::string name{};
    std::size_t led = 0;
    std::size_t replicas = 0;
  };

  bool better(std::size_t a, std::size_t b, const std::vector<std::size_t>& chosen) const {
    const Load& one = loads_[a];
    const Load& other = loads_[b];
    if (chosen.empty() && one.led != other.led) return one.led < other.led;
    if (one.replicas != other.replicas) return one.replicas < other.replicas;
    return !chosen.empty() && distance(chosen.front(), a) < distance(chosen.front(), b);
  }

  // Begins at another shard for each partition of a leader, so that after its loss the other shards
  // share its partitions.
  std::size_t distance(std::size_t leader, std::size_t other) const {
    const std::size_t first = (leader + 1 + loads_[leader].led) % loads_.size();
    return (other + loads_.size() - first) % loads_.size();
  }

  std::vector<Load> loads_;  // by name
};

std::string names_of_shards(const Cluster& cluster) {
  std::vector<std::string> names;
  for (const Shard& shard : cluster.shards) names.push_back(shard.name);
  return names.empty() ? "none" : base::joined(names);
}

base::Status check_mentions(const Cluster& cluster, const Claims& claims) {
  std::set<std::string_view> shards;
  for (const Shard& shard : cluster.shards) shards.insert(shard.name);
  for (const auto& [name, place] : claims.mentioned_shards()) {
    if (shards.contains(name)) continue;
    return place.error("'" + name +
                       "' is not a shard; the shards of the file: " + names_of_shards(cluster));
  }
  return {};
}

base::Status check_numbers(const Cluster& cluster, const Claims& claims) {
  for (const Partition& partition : cluster.partitions) {
    if (partition.on.empty()) {
      const Place& subtree = claims.place_of_subtree(partition.subtree);
      return Place{subtree.file, subtree.line, "partitions.on"}.error(
          "is missing: name the shards that keep a replica of " + shown(partition.subtree) +
          ", or give their number as `replicas`");
    }
    if (partition.on.size() > cluster.shards.size()) {
      return claims.noted(partition.subtree + ".replicas")
          .error(std::to_string(partition.on.size()) + " replicas of " + shown(partition.subtree) +
                 " need as many shards; the shards of the file: " + names_of_shards(cluster));
    }
  }
  return {};
}

base::Status check_shards(const Cluster& cluster, const Claims& claims) {
  std::set<std::string_view> used;
  for (const Partition& partition : cluster.partitions) {
    used.insert(partition.on.begin(), partition.on.end());
  }
  for (const Shard& shard : cluster.shards) {
    if (used.contains(shard.name)) continue;
    const Place& name = claims.place_of_name(shard.name);
    return Place{name.file, name.line, "shards.partitions"}.error(
        "a shard needs at least one partition, and none is on '" + shard.name + "'");
  }
  return {};
}

}  // namespace

base::Status place_partitions(Cluster& cluster, const Claims& claims) {
  if (auto status = check_mentions(cluster, claims); !status) return status;
  if (auto status = check_numbers(cluster, claims); !status) return status;
  std::vector<Partition*> unplaced;
  for (Partition& partition : cluster.partitions) {
    if (!is_placed(partition)) unplaced.push_back(&partition);
  }
  std::ranges::sort(unplaced, {}, &Partition::subtree);
  Spread spread(cluster);
  for (Partition* partition : unplaced) spread.place(*partition);
  if (auto status = check_shards(cluster, claims); !status) return status;
  if (claims.root_is_owned()) return {};
  return claims.noted("shards").error(
      "the root must be owned: a partition with subtree \"*\" is missing");
}

}  // namespace canopy::config
