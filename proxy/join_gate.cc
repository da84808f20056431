#include "proxy/join_gate.h"

#include <algorithm>

namespace canopy::proxy {

void JoinGate::on_subscription(const std::string& address, std::string_view topic,
                               base::TimePoint now) {
  if (!unused_.contains(address) && unused_.size() >= max_addresses) return;
  auto& subscriptions = unused_[address];
  if (subscriptions.size() >= max_subscriptions) subscriptions.pop_front();
  subscriptions.push_back({std::string(topic), now});
  for (Waiting& waiting : waiting_) {
    if (!waiting.subscribed && waiting.address == address) pair(waiting);
  }
}

bool JoinGate::on_request(const std::string& address, std::string peer, std::string prefix,
                          base::TimePoint now, MirrorLease lease) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.request.peer == peer; });
  if (waiting_.size() >= max_requests) return false;
  waiting_.push_back({{std::move(peer), std::move(prefix), now, std::move(lease)}, address});
  pair(waiting_.back());
  return true;
}

void JoinGate::pair(Waiting& waiting) {
  const auto at = unused_.find(waiting.address);
  if (at == unused_.end()) return;
  auto& subscriptions = at->second;
  const auto covering = std::ranges::find_if(subscriptions, [&](const Subscription& candidate) {
    return waiting.request.prefix.starts_with(candidate.topic);
  });
  if (covering == subscriptions.end()) return;
  subscriptions.erase(covering);
  if (subscriptions.empty()) unused_.erase(at);
  waiting.subscribed = true;
}

std::vector<JoinGate::Request> JoinGate::take_released(base::TimePoint now,
                                                       Surroundings surroundings) {
  forget_old(now);
  const auto wait_of = [&](const Waiting& waiting) {
    if (surroundings.subscriptions_pending) return hold;
    if (waiting.subscribed) return settle;
    return surroundings.full ? hold : grace;
  };
  std::vector<Request> released;
  std::deque<Waiting> still_waiting;
  for (Waiting& waiting : waiting_) {
    if (now - waiting.request.since >= wait_of(waiting)) {
      released.push_back(std::move(waiting.request));
    } else {
      still_waiting.push_back(std::move(waiting));
    }
  }
  waiting_ = std::move(still_waiting);
  return released;
}

void JoinGate::forget_old(base::TimePoint now) {
  for (auto& [address, subscriptions] : unused_) {
    while (!subscriptions.empty() && now - subscriptions.front().since > keep) {
      subscriptions.pop_front();
    }
  }
  std::erase_if(unused_, [](const auto& entry) { return entry.second.empty(); });
}

}  // namespace canopy::proxy
