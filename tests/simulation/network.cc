#include "tests/simulation/network.h"

#include <algorithm>

#include "tests/simulation/shard.h"

namespace canopy::simulation {

using cluster::Replica;

namespace {

template <typename Message, typename Decode>
Message through_bytes(const Message& message, Decode decode) {
  auto decoded = decode(wire::encode(message));
  require(static_cast<bool>(decoded), "Contract",
          [&] { return "a message that cannot be read: " + show(message); });
  return std::move(*decoded);
}

}  // namespace

void Network::add(Shard& shard) {
  for (const auto& [name, other] : shards_) {
    for (const auto& [connects, listens] : {std::pair(&shard, other), std::pair(other, &shard)}) {
      Connection& connection = connections_[{connects->name(), listens->name()}];
      connection.to_leader = {&connects->name(), listens};
      connection.to_follower = {&listens->name(), connects};
    }
  }
  shards_[shard.name()] = &shard;
}

base::Duration Network::delay() {
  return context_.random.between(base::Duration(50), context_.scenario.max_delay);
}

bool Network::happens(int percent) {
  return percent > 0 && !behaves_ && context_.random.chance(percent);
}

bool Network::is_cut(const Direction& direction) const {
  return cuts_.contains({*direction.from, direction.to->name()});
}

void Network::started(const std::string& shard) {
  for (auto& [ends, connection] : connections_) {
    if (ends.first == shard || ends.second == shard) connect_later(connection);
  }
}

void Network::stopped(const std::string& shard) {
  for (auto& [ends, connection] : connections_) {
    if (ends.first == shard || ends.second == shard) break_off(connection);
  }
}

void Network::connect_later(Connection& connection) {
  const base::Duration delay = context_.random.between({}, std::chrono::milliseconds(100));
  context_.events.at(std::max(context_.events.now(), connection.break_seen) + delay,
                     [this, &connection] { connect(connection); });
}

void Network::connect(Connection& connection) {
  if (connection.open) return;
  Shard& leader = *connection.to_leader.to;
  Shard& follower = *connection.to_follower.to;
  // A process that starts connects by itself.
  if (!leader.running() || !follower.running()) return;
  if (is_cut(connection.to_leader) || is_cut(connection.to_follower) ||
      connection.break_seen > context_.events.now()) {
    return connect_later(connection);
  }
  connection.open = true;
  ++connection.number;
  tell(follower, leader.name(), true, base::Duration::zero());
}

void Network::break_off(Connection& connection) {
  if (!connection.open) return;
  connection.open = false;
  ++connection.number;
  Shard& leader = *connection.to_leader.to;
  Shard& follower = *connection.to_follower.to;
  context_.trace("net",
                 [&] { return follower.name() + " loses its connection to " + leader.name(); });
  for (Direction* direction : {&connection.to_leader, &connection.to_follower}) {
    direction->held.clear();
    direction->under_way = 0;
    direction->last = {};
  }
  const base::Duration detection_delay = delay();
  connection.break_seen = context_.events.now() + detection_delay;
  tell(follower, leader.name(), false, detection_delay);
  if (leader.running()) {
    leader.post(detection_delay, [gone = follower.name()](Replica& replica, base::TimePoint now,
                                                          Replica::Effects& out) {
      replica.on_follower_gone(gone, now, out);
    });
  }
  connect_later(connection);
}

void Network::tell(Shard& shard, const std::string& peer, bool up, base::Duration delay) {
  if (!shard.running()) return;
  shard.post(delay, [peer, up](Replica& replica, base::TimePoint now, Replica::Effects& out) {
    replica.on_link(peer, up, now, out);
  });
}

void Network::send(const std::string& from, const std::string& to, wire::ToLeader message) {
  Connection& connection = between(from, to);
  if (context_.scenario.encoded) message = through_bytes(message, wire::decode_to_leader);
  transmit(connection, connection.to_leader, std::move(message));
}

void Network::send(const std::string& from, const std::string& to, wire::ToFollower message) {
  Connection& connection = between(to, from);
  if (context_.scenario.encoded) message = through_bytes(message, wire::decode_to_follower);
  transmit(connection, connection.to_follower, std::move(message));
}

int Network::room(const std::string& leader, const std::string& follower) const {
  const auto found = connections_.find({follower, leader});
  if (found == connections_.end() || !found->second.open) return 0;
  return context_.scenario.slots - found->second.to_follower.under_way;
}

void Network::transmit(Connection& connection, Direction& direction, Payload payload) {
  const bool open = connection.open;
  const bool lost = open && happens(context_.scenario.lost);
  context_.trace(*direction.from, [&] {
    return fmt::format("→ {}: {}{}", direction.to->name(),
                       std::visit([](const auto& message) { return show(message); }, payload),
                       !open  ? " (no connection)"
                       : lost ? " (lost)"
                              : "");
  });
  if (!open || lost) return;
  if (happens(context_.scenario.repeated)) schedule(connection, direction, payload);
  schedule(connection, direction, std::move(payload));
}

void Network::schedule(Connection& connection, Direction& direction, Payload payload) {
  ++direction.under_way;
  base::TimePoint when = context_.events.now() + delay();
  if (happens(context_.scenario.swapped)) {
    when += delay();
  } else {
    when = direction.last = std::max(when, direction.last);
  }
  context_.events.at(when, [this, &connection, &direction, number = connection.number,
                            payload = std::move(payload)]() mutable {
    if (connection.number != number) return;
    if (is_cut(direction) || !direction.held.empty()) {
      direction.held.push_back(std::move(payload));
    } else {
      arrive(direction, std::move(payload));
    }
  });
}

void Network::arrive(Direction& direction, Payload payload) {
  --direction.under_way;
  std::visit([&](auto& message) { direction.to->receive(*direction.from, std::move(message)); },
             payload);
  shards_.at(*direction.from)->poke();  // there is room again
}

void Network::disconnect(const std::string& from, const std::string& to) {
  break_off(between(from, to));
}

void Network::mend() {
  behaves_ = true;
  if (context_.scenario.lost + context_.scenario.repeated + context_.scenario.swapped == 0) return;
  for (auto& [ends, connection] : connections_) break_off(connection);
}

void Network::cut(const std::string& from, const std::string& to, bool cut) {
  if (cut == cuts_.contains({from, to})) return;
  context_.trace("net", [&] {
    return fmt::format("{} from {} to {}", cut ? "nothing passes" : "messages pass", from, to);
  });
  if (cut) {
    cuts_.emplace(from, to);
    return;
  }
  cuts_.erase({from, to});
  for (auto& [ends, connection] : connections_) {
    for (Direction* direction : {&connection.to_leader, &connection.to_follower}) {
      if (*direction->from != from || direction->to->name() != to) continue;
      if (context_.random.chance(50)) {
        break_off(connection);
        break;
      }
      for (Payload& payload : std::exchange(direction->held, {}))
        arrive(*direction, std::move(payload));
    }
  }
}

}  // namespace canopy::simulation
