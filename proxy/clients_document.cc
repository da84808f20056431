#include "proxy/clients_document.h"

#include <algorithm>
#include <future>
#include <memory>

#include "core/coordination/client_json.h"

namespace canopy::proxy {

using Clients = std::vector<wire::native::ClientInfo>;

metrics::HttpDocument clients_document(net::Loop& loop, const std::string& proxy,
                                       std::function<Clients()> list, base::Duration timeout) {
  // Shared: the loop may run it after the caller has given up.
  const auto listed = std::make_shared<std::promise<Clients>>();
  auto clients = listed->get_future();
  loop.post([listed, list = std::move(list)] { listed->set_value(list()); });
  if (clients.wait_for(timeout) != std::future_status::ready) {
    return metrics::http_error(503, "the proxy is too busy to list its clients");
  }
  return {.body = to_json(proxy, clients.get())};
}

std::string to_json(const std::string& proxy, Clients clients, std::size_t max_bytes) {
  std::ranges::stable_sort(clients, std::greater(), &wire::native::ClientInfo::queued_bytes);
  std::string text = "[";
  for (const auto& client : clients) {
    const std::string object = coordination::to_json(proxy, client);
    if (text.size() + object.size() > max_bytes) break;
    text += (text.size() > 1 ? "," : "") + object;
  }
  return text + "]\n";
}

}  // namespace canopy::proxy
