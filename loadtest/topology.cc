#include "loadtest/topology.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/config/cluster.h"
#include "core/metrics/http_get.h"

namespace canopy::loadtest {
namespace {

const std::optional<wire::Triple>& triple_of(const wire::ProxyMember& proxy,
                                             wire::clone::Dialect dialect) {
  switch (dialect) {
    case wire::clone::Dialect::kvsimple: return proxy.kvsimple;
    case wire::clone::Dialect::kvmsg: return proxy.kvmsg;
    case wire::clone::Dialect::chp: break;
  }
  return proxy.chp;
}

ProcessId process_of(const char* role, const nlohmann::json& member) {
  return {.role = role,
          .name = member.value("name", ""),
          .pid = member.value("pid", 0L),
          .http = member.value("http", "")};
}

}  // namespace

bool Topology::ready() const {
  const auto ready = [](const auto& proxy) { return proxy.state == "ready"; };
  return std::ranges::any_of(proxies, ready) &&
         std::ranges::all_of(proxies, [&ready](const auto& proxy) {
           return ready(proxy) || proxy.state == "down";
         });
}

base::Result<Topology> parse_topology(const std::string& text) {
  try {
    const auto document = nlohmann::json::parse(text);
    Topology topology;
    if (document.contains("broker") && document["broker"].is_object()) {
      topology.processes.push_back(process_of("broker", document["broker"]));
    }
    for (const auto& shard : document.at("shards")) {
      topology.processes.push_back(process_of("shard", shard));
    }
    for (const auto& member : document.at("proxies")) {
      topology.processes.push_back(process_of("proxy", member));
      auto proxy = wire::parse_proxy_member(member.dump());
      if (!proxy) return base::Error{"topology: proxy: " + proxy.error()};
      topology.proxies.push_back(std::move(*proxy));
    }
    return topology;
  } catch (const nlohmann::json::exception& error) {
    return base::Error{std::string("topology: ") + error.what()};
  }
}

base::Result<Topology> fetch_topology(const std::string& broker) {
  const auto response = metrics::http_get(broker, "/api/v1/topology");
  if (!response) return base::Error{response.error()};
  if (response->status != 200) {
    return base::Error{broker + "/api/v1/topology answers " + std::to_string(response->status)};
  }
  return parse_topology(response->body);
}

base::Result<Target> cluster_target(const Topology& topology, const Dialect& dialect) {
  Target target{.name = dialect ? "cluster" : "native", .processes = topology.processes};
  std::string states;
  bool found = false;
  for (const auto& proxy : topology.proxies) {
    const bool speaks = dialect ? triple_of(proxy, *dialect).has_value() : !proxy.native.empty();
    states += " " + proxy.name + "=" + proxy.state + (speaks ? "" : "(no listener for it)");
    if (proxy.state != "ready") continue;
    found = found || speaks;
    if (dialect && speaks) target.triples.push_back(*triple_of(proxy, *dialect));
    if (proxy.native.empty()) continue;
    target.natives.push_back({.name = proxy.name, .endpoint = proxy.native});
  }
  if (found) return target;
  return base::Error{"no ready proxy speaks " + std::string(name(dialect)) + ":" +
                     (states.empty() ? " there are none" : states)};
}

Target given_target(const std::vector<std::string>& endpoints, const Dialect& dialect) {
  Target target{.name = "given"};
  for (const auto& endpoint : endpoints) {
    if (dialect) {
      target.triples.push_back({.snapshot = endpoint,
                                .updates = base::next_port(endpoint, 1),
                                .collector = base::next_port(endpoint, 2)});
    } else {
      target.natives.push_back({.name = endpoint, .endpoint = endpoint});
    }
  }
  return target;
}

}  // namespace canopy::loadtest
