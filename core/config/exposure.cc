#include "core/config/exposure.h"

#include <algorithm>

#include "core/base/endpoint.h"

namespace canopy::config {
namespace {

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

}  // namespace

bool beyond_this_machine(const Endpoint& endpoint) {
  const auto address = base::parse_endpoint(endpoint);
  return address && !address->ipc && !is_loopback(address->host);
}

std::vector<std::string> exposure(bool secured, const std::vector<Endpoint>& endpoints,
                                  const HttpAddress& http) {
  std::vector<std::string> lines;
  const auto open = std::ranges::find_if(endpoints, beyond_this_machine);
  if (!secured && open != endpoints.end()) {
    lines.push_back(*open +
                    " is open to every machine that reaches it, and not encrypted: see security in "
                    "the configuration");
  }
  const auto address = base::parse_http_address(http);
  if (secured && address && !is_loopback(address->host)) {
    lines.push_back("http " + http +
                    " shows metrics and addresses to every machine that reaches it");
  }
  return lines;
}

std::vector<Endpoint> frontends(const Proxy& proxy) {
  std::vector<Endpoint> all;
  for (const auto& endpoint : {proxy.native, proxy.kvsimple, proxy.kvmsg, proxy.chp}) {
    if (endpoint) all.push_back(*endpoint);
  }
  return all;
}

}  // namespace canopy::config
