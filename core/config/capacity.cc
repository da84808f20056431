#include "core/config/capacity.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string_view>

namespace canopy::config {
namespace {

// Descriptors of a started process without peers: standard streams, event loop, HTTP, the lookup of
// the broker's name, and a reserve. A shard's include its sockets. test_checked.py compares them
// with processes.
constexpr std::uint64_t own_of_shard = 18;
constexpr std::uint64_t own_of_proxy = 20;
constexpr std::uint64_t per_shard = 2;  // of a proxy: sockets
constexpr std::uint64_t per_proxy = 2;  // of a shard: connections
// Of a shard: a connection to each shard with a replica of the same partition, and one from it,
// because either may lead.
constexpr std::uint64_t per_peer = 2;
// RocksDB: the tables that it keeps open (shard/storage_open.cc), and its logs, manifest, directory
// and files being written.
constexpr std::uint64_t of_store = 128 + 32;
constexpr std::uint64_t passing = 8;  // the broker, HTTP requests

base::Status check_nofile(const std::string& name, std::uint64_t nofile, std::uint64_t needed,
                          const std::string& what_for, const Claims& claims) {
  if (nofile == 0 || nofile >= needed) return {};
  const Place& place = claims.noted(name + ".nofile");
  const Place where =
      place.line > 0 ? place : Place{place.file, claims.place_of_name(name).line, place.key};
  return where.error(std::to_string(nofile) + " open files are too few for '" + name +
                     "': " + what_for + " take up to " + std::to_string(needed) +
                     "; raise nofile, or set it to 0 where the process inherits enough");
}

std::string count(std::uint64_t number, const std::string& what) {
  return std::to_string(number) + " " + what;
}

std::uint64_t disk_partitions(const Shard& shard, const Cluster& cluster) {
  return static_cast<std::uint64_t>(std::ranges::count(cluster.partitions_of(shard.name),
                                                       Durability::disk, &Partition::durability));
}

// Shards that keep a replica of the same partition as this one.
std::uint64_t peers(const Shard& shard, const Cluster& cluster) {
  std::set<std::string_view> others;
  for (const Partition* partition : cluster.partitions_of(shard.name)) {
    others.insert(partition->on.begin(), partition->on.end());
  }
  others.erase(shard.name);
  return others.size();
}

}  // namespace

std::uint64_t connections_per_client(const Proxy& proxy) {
  return proxy.kvsimple || proxy.kvmsg || proxy.chp ? 3 : 1;
}

std::uint64_t descriptors_of(const Shard& shard, const Cluster& cluster) {
  return own_of_shard + (disk_partitions(shard, cluster) > 0 ? of_store : 0) +
         per_peer * peers(shard, cluster) + per_proxy * cluster.proxies.size() + passing;
}

std::uint64_t descriptors_of(const Proxy& proxy, const Cluster& cluster) {
  std::uint64_t listeners = proxy.native ? 1 : 0;
  for (const auto& dialect : {proxy.kvsimple, proxy.kvmsg, proxy.chp}) listeners += dialect ? 3 : 0;
  return own_of_proxy + listeners + per_shard * cluster.shards.size() +
         reserved_descriptors(cluster.shards.size()) +
         connections_per_client(proxy) * proxy.max_clients;
}

std::uint64_t reserved_descriptors(std::size_t shards) {
  return std::max<std::uint64_t>(40, per_proxy * shards + passing);
}

// Only a broker that starts the processes sets their limit of open files.
base::Status check_capacity(const Cluster& cluster, const Claims& claims) {
  if (!cluster.broker.supervise) return {};
  for (const Shard& shard : cluster.shards) {
    const std::uint64_t others = peers(shard, cluster);
    const std::string what =
        count(disk_partitions(shard, cluster), "partitions on disk") +
        (others == 0 ? "" : ", replicas shared with " + count(others, "shards")) + " and " +
        count(cluster.proxies.size(), "proxies");
    if (auto status =
            check_nofile(shard.name, shard.nofile, descriptors_of(shard, cluster), what, claims);
        !status) {
      return status;
    }
  }
  for (const Proxy& proxy : cluster.proxies) {
    const std::string what = count(proxy.max_clients, "clients (max_clients) and ") +
                             count(cluster.shards.size(), "shards");
    if (auto status =
            check_nofile(proxy.name, proxy.nofile, descriptors_of(proxy, cluster), what, claims);
        !status) {
      return status;
    }
  }
  return {};
}

}  // namespace canopy::config
