#include "client/cli/clients.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "client/cli/text.h"
#include "core/base/text.h"
#include "core/coordination/client_json.h"
#include "core/coordination/coordinator.h"
#include "core/wire/member.h"

namespace canopy::client::cli {
namespace {

using wire::native::ClientInfo;

std::string or_dash(const std::string& text) { return text.empty() ? "-" : escaped(text); }

// In the largest unit of which there is one: "59s", "2m", "3h", "4d".
std::string age_text(std::uint64_t ms) {
  const std::uint64_t s = ms / 1000;
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return std::to_string(s / 60) + "m";
  if (s < 86'400) return std::to_string(s / 3600) + "h";
  return std::to_string(s / 86'400) + "d";
}

Row row_of(const ListedClient& listed) {
  const ClientInfo& client = listed.client;
  std::string subscriptions;
  for (const std::string& each : client.subscriptions) {
    subscriptions += (subscriptions.empty() ? "" : ", ") + each;
  }
  return {or_dash(listed.proxy),         std::to_string(client.connection),
          or_dash(client.peer),          or_dash(client.name),
          or_dash(client.protocol),      std::to_string(client.queued_bytes),
          std::to_string(client.missed), std::to_string(client.catch_ups),
          age_text(client.age_ms),       or_dash(subscriptions)};
}

}  // namespace

std::vector<AskedProxy> proxies_of(const wire::native::Members& members, const std::string& name) {
  std::vector<AskedProxy> proxies;
  for (const auto& [key, json] : members.members) {
    if (!key.starts_with(coordination::proxies_prefix)) continue;
    const auto member = wire::parse_proxy_member(json);
    if (!member || (!name.empty() && member->name != name)) continue;
    if (name.empty() && member->state == "drained") continue;
    AskedProxy proxy{.name = member->name, .native = member->native};
    if (proxy.native.empty()) {
      const bool serves = member->state == "ready" || member->state == "full";
      proxy.fault = serves ? "no `native` endpoint" : member->state;
    }
    proxies.push_back(std::move(proxy));
  }
  std::ranges::sort(proxies, {}, &AskedProxy::name);
  return proxies;
}

std::vector<std::string> fault_lines(const std::vector<AskedProxy>& proxies) {
  std::map<std::string, std::vector<std::string>> names;  // by fault
  for (const AskedProxy& proxy : proxies) {
    if (!proxy.fault.empty()) names[proxy.fault].push_back(escaped(proxy.name));
  }
  std::vector<std::string> lines;
  for (const auto& [fault, of] : names) lines.push_back(base::joined(of) + ": " + escaped(fault));
  return lines;
}

std::vector<ListedClient> clients_of(const std::vector<AskedProxy>& proxies) {
  std::vector<ListedClient> clients;
  for (const AskedProxy& proxy : proxies) {
    for (const ClientInfo& client : proxy.clients) clients.push_back({proxy.name, client});
  }
  return clients;
}

void sort(std::vector<ListedClient>& clients, ClientOrder order) {
  const auto rank = [order](const ListedClient& listed) {
    const ClientInfo& client = listed.client;
    std::uint64_t highest = 0;
    if (order == ClientOrder::queue) highest = client.queued_bytes;
    if (order == ClientOrder::missed) highest = client.missed;
    if (order == ClientOrder::age) highest = client.age_ms;
    return std::tuple(~highest, order == ClientOrder::name ? client.name : std::string(),
                      listed.proxy, client.connection);
  };
  std::ranges::sort(clients, {}, rank);
}

std::string to_table(const std::vector<ListedClient>& clients) {
  std::vector<Row> rows = {{"PROXY", "CONNECTION", "PEER", "NAME", "PROTOCOL", "QUEUED", "MISSED",
                            "CATCH-UPS", "AGE", "SUBSCRIPTIONS"}};
  for (const ListedClient& listed : clients) rows.push_back(row_of(listed));
  return aligned(rows);
}

std::string to_json(const std::vector<ListedClient>& clients) {
  std::string text;
  for (const auto& [proxy, client] : clients) {
    text += (text.empty() ? "" : ",") + coordination::to_json(proxy, client);
  }
  return "[" + text + "]\n";
}

}  // namespace canopy::client::cli
