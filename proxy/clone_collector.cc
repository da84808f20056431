#include "proxy/clone_collector.h"

namespace canopy::proxy {

namespace clone = wire::clone;

CloneCollector::CloneCollector(clone::Dialect dialect, Metrics& metrics, Backend& backend)
    : dialect_(dialect),
      metrics_(metrics),
      backend_(backend),
      received_(metrics.writes_received.Add({{"dialect", std::string(clone::name(dialect))}})) {}

void CloneCollector::on_message(net::Connection& connection,
                                std::span<const std::string_view> parts) {
  received_.Increment();
  auto parsed = clone::parse_write(dialect_, parts);
  if (const auto* rejection = std::get_if<clone::Rejection>(&parsed)) {
    metrics_.reject(rejection->reason);
    log_.warn("clone", "update refused",
              {{"dialect", clone::name(dialect_)},
               {"address", connection.peer()},
               {"reason", rejection->reason}});
    return;
  }
  auto& [write, ignored] = std::get<clone::ClientWrite>(parsed);
  if (!backend_.may_write(connection, write.key)) return;
  if (!ignored.empty()) {
    metrics_.ignored_metadata.Add({{"reason", std::string(ignored)}}).Increment();
  }
  wire::RoutedRequest request;  // nobody waits for an answer
  request.request.writes.push_back(std::move(write));
  const wire::Fault fault = backend_.write(std::move(request));
  if (fault != wire::Fault::none) metrics_.reject(wire::name(fault));
}

}  // namespace canopy::proxy
