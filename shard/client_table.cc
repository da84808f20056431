#include "shard/client_table.h"

#include <algorithm>
#include <cassert>

namespace canopy::shard {

using wire::Fault;

ClientTable::Known ClientTable::look_up(const std::string& client, std::uint64_t number,
                                        std::uint64_t settled) {
  if (number == 0 || settled > number) return {.fault = Fault::bad_field};
  const auto found = by_id_.find(client);
  if (found == by_id_.end()) return {};
  Client& known = *found->second;
  clients_.splice(clients_.begin(), clients_, found->second);
  settle(known, settled);
  if (number < known.settled) return {.fault = Fault::replayed};
  const auto at = std::ranges::lower_bound(known.entries, number, {}, &Entry::number);
  if (at != known.entries.end() && at->number == number) return {.entry = &*at};
  if (known.entries.size() >= limits_.unsettled) return {.fault = Fault::too_many_requests};
  return {};
}

void ClientTable::settle(Client& client, std::uint64_t settled) {
  if (settled <= client.settled) return;
  client.settled = settled;
  const auto end = std::ranges::lower_bound(client.entries, settled, {}, &Entry::number);
  results_ -= static_cast<std::size_t>(end - client.entries.begin());
  client.entries.erase(client.entries.begin(), end);
}

void ClientTable::remember(const std::string& client, std::uint64_t number, std::uint64_t settled,
                           Result result, std::size_t reply) {
  assert(!wire::retriable(result.fault));
  auto found = by_id_.find(client);
  if (found == by_id_.end()) {
    clients_.push_front({.id = client, .settled = settled});
    found = by_id_.emplace(clients_.front().id, clients_.begin()).first;
  }
  auto& entries = found->second->entries;
  entries.insert(std::ranges::upper_bound(entries, number, {}, &Entry::number),
                 Entry{.number = number, .result = result, .turn = turn_, .reply = reply});
  ++results_;
  while (clients_.size() > 1 && (clients_.size() > limits_.clients || results_ > limits_.results)) {
    forget_oldest();
  }
}

void ClientTable::forget_oldest() {
  results_ -= clients_.back().entries.size();
  by_id_.erase(clients_.back().id);
  clients_.pop_back();
}

void ClientTable::forget_unconfirmed() {
  for (Client& client : clients_) {
    results_ -=
        std::erase_if(client.entries, [this](const Entry& entry) { return unconfirmed(entry); });
  }
  ++turn_;
}

}  // namespace canopy::shard
