#include "core/coordination/client_json.h"

#include <nlohmann/json.hpp>

namespace canopy::coordination {

std::string to_json(const std::string& proxy, const wire::native::ClientInfo& client) {
  const nlohmann::ordered_json object = {{"proxy", proxy},
                                         {"connection", client.connection},
                                         {"peer", client.peer},
                                         {"name", client.name},
                                         {"protocol", client.protocol},
                                         {"queued_bytes", client.queued_bytes},
                                         {"missed", client.missed},
                                         {"catch_ups", client.catch_ups},
                                         {"age_ms", client.age_ms},
                                         {"subscriptions", client.subscriptions}};
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace canopy::coordination
