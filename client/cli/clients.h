// The clients of a cluster's proxies, for people and for programs. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/command_line.h"
#include "core/wire/native_broker.h"

namespace canopy::client::cli {

// A proxy of the directory, and its answer.
struct AskedProxy {
  std::string name{};
  std::string native{};  // endpoint
  std::string fault{};   // why it was not asked, did not answer or refused; else empty
  bool refused = false;
  std::vector<wire::native::ClientInfo> clients{};  // its answer
};
// Every proxy, ordered by name; or with `name` only that one. A drained proxy has no clients and is
// left out unless it is named.
std::vector<AskedProxy> proxies_of(const wire::native::Members& members, const std::string& name);

// "p1, p2: no answer": a line for each fault.
std::vector<std::string> fault_lines(const std::vector<AskedProxy>& proxies);

struct ListedClient {
  std::string proxy{};
  wire::native::ClientInfo client{};
};

std::vector<ListedClient> clients_of(const std::vector<AskedProxy>& proxies);
// The longest queue, the most missed or the oldest first; names and connections ascend.
void sort(std::vector<ListedClient>& clients, ClientOrder order);

// A line for each below a line of headings; `-` where there is nothing.
std::string to_table(const std::vector<ListedClient>& clients);
// An array of what core/coordination/client_json.h makes of each.
std::string to_json(const std::vector<ListedClient>& clients);

}  // namespace canopy::client::cli
