#include "core/cluster/request_table.h"

#include <algorithm>

namespace canopy::cluster {

using keyspace::AppliedRequest;

RequestTable::Known RequestTable::look_up(std::string_view client, std::uint64_t number,
                                          std::uint64_t settled) const {
  if (number == 0 || settled > number) return {.fault = wire::Fault::bad_field};
  const auto found = by_id_.find(client);
  if (found == by_id_.end()) return {};
  const Client& known = *found->second;
  if (number < known.settled) return {.fault = wire::Fault::replayed};
  const auto at = std::ranges::lower_bound(known.results, number, {}, &Result::number);
  if (at != known.results.end() && at->number == number) return {.revision = at->revision};
  const auto left = std::ranges::lower_bound(known.results, settled, {}, &Result::number);
  if (known.results.end() - left >= static_cast<std::ptrdiff_t>(limits_.unsettled)) {
    return {.fault = wire::Fault::too_many_requests};
  }
  return {};
}

void RequestTable::apply(const AppliedRequest& request) {
  auto found = by_id_.find(request.client);
  if (found == by_id_.end()) {
    clients_.push_front({.id = request.client, .settled = request.settled});
    found = by_id_.emplace(clients_.front().id, clients_.begin()).first;
  }
  Client& client = *found->second;
  if (request.number < client.settled) return;
  const auto at = std::ranges::lower_bound(client.results, request.number, {}, &Result::number);
  if (at != client.results.end() && at->number == request.number) return;
  client.results.insert(at, {request.number, request.settled, request.revision});
  ++results_;
  settle(client, request.settled);
  clients_.splice(clients_.begin(), clients_, found->second);
  while (clients_.size() > 1 && (clients_.size() > limits_.clients || results_ > limits_.results)) {
    forget_oldest();
  }
}

void RequestTable::settle(Client& client, std::uint64_t settled) {
  if (settled <= client.settled) return;
  client.settled = settled;
  const auto end = std::ranges::lower_bound(client.results, settled, {}, &Result::number);
  results_ -= static_cast<std::size_t>(end - client.results.begin());
  client.results.erase(client.results.begin(), end);
}

void RequestTable::forget_oldest() {
  results_ -= clients_.back().results.size();
  by_id_.erase(clients_.back().id);
  clients_.pop_back();
}

// The revision of a request is that of its last update, so revisions give the order.
std::vector<AppliedRequest> RequestTable::list() const {
  std::vector<AppliedRequest> all;
  all.reserve(results_);
  for (const Client& client : clients_) {
    for (const Result& result : client.results) {
      all.push_back({client.id, result.number, result.settled, result.revision});
    }
  }
  std::ranges::sort(all, {}, &AppliedRequest::revision);
  return all;
}

}  // namespace canopy::cluster
