#include "proxy/join_gate.h"

#include <algorithm>

namespace canopy::proxy {
namespace {

bool covers(const std::vector<std::string>& topics, const std::string& prefix) {
  return std::ranges::any_of(topics,
                             [&](const std::string& topic) { return prefix.starts_with(topic); });
}

base::Duration between(base::TimePoint one, base::TimePoint other) {
  return one < other ? other - one : one - other;
}

}  // namespace

void JoinGate::on_subscription(const Client& client, std::string_view topic, base::TimePoint now) {
  Subscriber& subscriber = subscribers_[client.connection];
  subscriber.place = {client.address, client.name};
  subscriber.accepted = client.accepted;
  if (subscriber.topics.size() < max_topics) subscriber.topics.emplace_back(topic);
  heard_[subscriber.place] = now;
  if (subscriber.requester != 0) {
    return pair(subscriber.requester, subscriber.distance, client.connection, now);
  }
  const Waiting* closest = nullptr;
  base::Duration least = joining;
  for (const Waiting& waiting : waiting_) {
    const base::Duration distance = between(waiting.accepted, client.accepted);
    if (distance > least || waiting.place != subscriber.place ||
        pairs_.contains(waiting.request.peer) || !covers(subscriber.topics, waiting.request.prefix))
      continue;
    if (closest != nullptr && distance == least) continue;  // the older request goes first
    closest = &waiting;
    least = distance;
  }
  if (closest != nullptr) pair(closest->request.peer, least, client.connection, now);
}

void JoinGate::on_request(const Client& client, std::string prefix, base::TimePoint now,
                          MirrorLease lease) {
  waiting_.push_back({.request = {client.connection, std::move(prefix), now, std::move(lease)},
                      .place = {client.address, client.name},
                      .accepted = client.accepted});
  const Waiting& waiting = waiting_.back();
  if (const auto known = pairs_.find(client.connection); known != pairs_.end()) {
    pair(client.connection, subscribers_.at(known->second).distance, known->second, now);
  } else {
    find_subscriber(waiting, true, now);
  }
}

// A connection that is paired already is taken over by a closer one, unless it was released.
void JoinGate::find_subscriber(const Waiting& waiting, bool may_take_over, base::TimePoint now) {
  auto closest = subscribers_.end();
  base::Duration least = joining;
  for (auto at = subscribers_.begin(); at != subscribers_.end(); ++at) {
    const Subscriber& subscriber = at->second;
    const base::Duration distance = between(waiting.accepted, subscriber.accepted);
    if (distance > least || (closest != subscribers_.end() && distance == least)) continue;
    if (subscriber.requester != 0 &&
        (!may_take_over || subscriber.settled || subscriber.distance <= distance)) {
      continue;
    }
    if (subscriber.place != waiting.place || !covers(subscriber.topics, waiting.request.prefix)) {
      continue;
    }
    closest = at;
    least = distance;
  }
  if (closest == subscribers_.end()) return;
  const PeerId loser = closest->second.requester;
  if (loser != 0) {
    pairs_.erase(loser);
    uncover(loser);
  }
  pair(waiting.request.peer, least, closest->first, now);
  const auto left = std::ranges::find_if(
      waiting_, [loser](const Waiting& each) { return each.request.peer == loser; });
  if (loser != 0 && left != waiting_.end()) find_subscriber(*left, false, now);
}

void JoinGate::pair(PeerId requester, base::Duration distance, PeerId id, base::TimePoint now) {
  Subscriber& subscriber = subscribers_.at(id);
  subscriber.requester = requester;
  subscriber.distance = distance;
  pairs_[requester] = id;
  for (Waiting& waiting : waiting_) {
    if (waiting.request.peer != requester || waiting.covered) continue;
    if (covers(subscriber.topics, waiting.request.prefix)) waiting.covered = now;
  }
}

void JoinGate::uncover(PeerId requester) {
  for (Waiting& waiting : waiting_) {
    if (waiting.request.peer == requester) waiting.covered.reset();
  }
}

void JoinGate::end(PeerId connection) {
  std::erase_if(waiting_,
                [&](const Waiting& waiting) { return waiting.request.peer == connection; });
  if (const auto own = subscribers_.find(connection); own != subscribers_.end()) {
    pairs_.erase(own->second.requester);
    uncover(own->second.requester);
    subscribers_.erase(own);
  }
  if (const auto own = pairs_.find(connection); own != pairs_.end()) {
    Subscriber& subscriber = subscribers_.at(own->second);
    // The subscription of a client that has its snapshot is no other client's.
    if (!subscriber.settled) subscriber.requester = 0;
    pairs_.erase(own);
  }
}

bool JoinGate::may_go(const Waiting& waiting, base::TimePoint now, const Surroundings& surroundings,
                      const std::set<Place>& uncovered) const {
  const bool fresh = waiting.request.since - waiting.accepted < joining;
  if (!waiting.covered) {
    return now - waiting.request.since >= (surroundings.full && fresh ? hold : grace);
  }
  const base::Duration waited = now - *waiting.covered;
  if (waited < settle || waited >= crowd) return waited >= crowd;
  const auto heard = heard_.find(waiting.place);
  const bool others = uncovered.contains(waiting.place) ||
                      surroundings.silent.contains(waiting.place.first) ||
                      (heard != heard_.end() && now - heard->second < settle);
  return !others;
}

std::vector<JoinGate::Request> JoinGate::take_released(base::TimePoint now,
                                                       const Surroundings& surroundings) {
  std::erase_if(heard_, [now](const auto& entry) { return now - entry.second >= crowd; });
  std::set<Place> uncovered;
  for (const Waiting& waiting : waiting_) {
    if (!waiting.covered) uncovered.insert(waiting.place);
  }
  std::vector<Request> released;
  std::deque<Waiting> still_waiting;
  for (Waiting& waiting : waiting_) {
    if (!may_go(waiting, now, surroundings, uncovered)) {
      still_waiting.push_back(std::move(waiting));
      continue;
    }
    if (waiting.covered) subscribers_.at(pairs_.at(waiting.request.peer)).settled = true;
    released.push_back(std::move(waiting.request));
  }
  waiting_ = std::move(still_waiting);
  return released;
}

}  // namespace canopy::proxy
