#include "core/config/own_entry.h"

#include <algorithm>

#include "core/base/host.h"
#include "core/config/tables.h"

namespace canopy::config {
namespace {

// The template whose text up to the `*` is a prefix of `name`; of several the longest.
const Proxy* find_template(const Cluster& cluster, const std::string& name) {
  const Proxy* best = nullptr;
  for (const Proxy& each : cluster.proxy_templates) {
    const std::string_view start(each.name.data(), each.name.size() - 1);
    if (name.size() <= start.size() || !name.starts_with(start)) continue;
    if (best == nullptr || each.name.size() > best->name.size()) best = &each;
  }
  return best;
}

template <typename Process>
base::Status complete(std::vector<Process>& all, const std::string& name) {
  const auto own = std::ranges::find(all, name, &Process::name);
  if (own == all.end() || own->advertise != auto_advertise) return {};
  auto address = base::own_address();
  if (!address) return base::Error{"advertise: auto of '" + name + "': " + address.error()};
  own->advertise = std::move(*address);
  return {};
}

}  // namespace

std::string expand_name(std::string_view name, std::string_view host) {
  std::string label(host);
  for (char& c : label) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) c = '-';
  }
  std::string expanded(name);
  for (auto at = expanded.find("%h"); at != std::string::npos; at = expanded.find("%h", at)) {
    expanded.replace(at, 2, label);
    at += label.size();
  }
  return expanded;
}

base::Status complete_own_entry(Cluster& cluster, const std::string& name) {
  if (cluster.find_shard(name) == nullptr && cluster.find_proxy(name) == nullptr) {
    if (const Proxy* fitting = find_template(cluster, name)) {
      if (auto status = check_name(name); !status) return status;
      Proxy own = *fitting;
      own.name = name;
      cluster.proxies.push_back(std::move(own));
    }
  }
  if (auto status = complete(cluster.shards, name); !status) return status;
  return complete(cluster.proxies, name);
}

}  // namespace canopy::config
