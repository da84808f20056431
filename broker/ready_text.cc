#include <algorithm>
#include <span>
#include <vector>

#include "broker/topology.h"
#include "core/metrics/http_get.h"

namespace canopy::broker {
namespace {

constexpr std::size_t max_shown = 20;  // partitions of a shard

// Aligned columns, two blanks apart, indented by two.
class Table {
 public:
  void row(std::vector<std::string> cells) {
    widths_.resize(std::max(widths_.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], cells[i].size());
    }
    rows_.push_back(std::move(cells));
  }

  std::string text() const {
    std::string text;
    for (const auto& cells : rows_) {
      std::string line;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        line += "  " + cells[i] + std::string(widths_[i] - cells[i].size(), ' ');
      }
      text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

std::string ports(const std::optional<wire::Triple>& triple) {
  if (!triple) return "-";
  const std::string& last = triple->collector;
  return triple->snapshot + "-" + last.substr(last.rfind(':') + 1);
}

std::string shard_lines(const config::Cluster& cluster, const Members& members) {
  Table table;
  table.row({"SHARD", "SUBTREES"});
  for (const auto& [name, shard] : members.shards) {
    std::string subtrees;
    const std::size_t more = shard.partitions.size() - std::min(shard.partitions.size(), max_shown);
    for (const auto& partition :
         std::span(shard.partitions).first(shard.partitions.size() - more)) {
      subtrees += (subtrees.empty() ? "" : ", ") +
                  (partition.subtree.empty() ? std::string("*") : partition.subtree);
      const config::Partition* configured = cluster.find_partition(partition.subtree);
      if (configured == nullptr) continue;
      subtrees += configured->durability == config::Durability::disk ? " (disk)" : " (memory)";
    }
    if (more > 0) subtrees += ", and " + std::to_string(more) + " more";
    table.row({name, subtrees});
  }
  return table.text();
}

std::string proxy_lines(const Members& members) {
  Table table;
  table.row(
      {"PROXY", "CLIENTS", "NATIVE", "KVSIMPLE (models 1-4)", "KVMSG (model 5)", "CHP (model 6)"});
  for (const auto& [name, proxy] : members.proxies) {
    table.row({name, std::to_string(proxy.max_clients), proxy.native.empty() ? "-" : proxy.native,
               ports(proxy.kvsimple), ports(proxy.kvmsg), ports(proxy.chp)});
  }
  return table.text();
}

}  // namespace

std::string ready_text(const config::Cluster& cluster, const Members& members, const Self& self) {
  Table links;
  const std::string http = "http://" + metrics::local_address(self.http);
  links.row({"cluster", http + "/", "(in a browser)"});
  links.row({"metrics", http + "/metrics"});
  links.row({"targets", http + "/api/v1/sd", "(Prometheus HTTP service discovery)"});
  return "Canopy is up.\n\nNative clients and the command `canopy` ask the broker at " +
         self.directory + ".\nClients of the Clone pattern connect to any proxy:\n" +
         proxy_lines(members) + "\nShards hold the keys:\n" + shard_lines(cluster, members) +
         "\nObserve the cluster at:\n" + links.text() + "\n" +
         (cluster.broker.supervise ? "Ctrl-C stops the cluster.\n\n" : "");
}

}  // namespace canopy::broker
