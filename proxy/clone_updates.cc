#include "proxy/clone_updates.h"

#include <algorithm>

#include "core/keyspace/key.h"
#include "core/zmtp/frame.h"

namespace canopy::proxy {

namespace clone = wire::clone;

CloneUpdates::CloneUpdates(clone::Dialect dialect, const config::Proxy& config, Metrics& metrics,
                           Backend& backend, RecentCuts& cuts, std::size_t high_water)
    : dialect_(dialect),
      config_(config),
      metrics_(metrics),
      backend_(backend),
      groups_([this](std::string_view prefix) { return backend_.lease(prefix); }),
      catch_ups_(dialect, backend, cuts, high_water),
      delivered_(metrics.delivered.Add({{"dialect", std::string(clone::name(dialect))}})),
      delivered_bytes_(
          metrics.delivered_bytes.Add({{"dialect", std::string(clone::name(dialect))}})) {}

CloneUpdates::Subscriber& CloneUpdates::of(net::Connection& connection) {
  return static_cast<Subscriber&>(*connection.attachment());
}

void CloneUpdates::on_ready(net::Connection& connection) {
  auto subscriber = std::make_unique<Subscriber>(connection);
  subscribers_.emplace(connection.id(), subscriber.get());
  connection.attach(std::move(subscriber));
}

// In chp every client may subscribe to HUGZ, and it is no prefix of keys. Elsewhere it is one.
void CloneUpdates::on_subscription(net::Connection& connection, std::string_view topic,
                                   bool begins) {
  Subscriber& subscriber = of(connection);
  if (dialect_ == clone::Dialect::chp && topic == clone::heartbeat) {
    subscriber.heartbeats = begins;
  } else if (begins) {
    begin(subscriber, topic);
  } else {
    groups_.remove(subscriber, topic);
  }
}

void CloneUpdates::begin(Subscriber& subscriber, std::string_view topic) {
  net::Connection& connection = subscriber.connection;
  if (keyspace::check_prefix(topic) != keyspace::KeyFault::none) return;  // matches no key
  if (!backend_.may_read(connection, topic, std::string(clone::name(dialect_)) + " subscription")) {
    return;
  }
  if (!groups_.add(subscriber, topic)) return;
  if (subscriber.prefixes().size() > max_prefixes || subscriber.prefix_bytes() > max_prefix_bytes) {
    return connection.close("too_many_subscriptions");
  }
  catch_ups_.begin(connection, topic);
}

void CloneUpdates::on_drained(net::Connection& connection) { catch_ups_.on_drained(connection); }

void CloneUpdates::on_closed(net::Connection& connection, std::string_view) {
  if (subscribers_.erase(connection.id()) == 0) return;  // its handshake failed
  catch_ups_.end(connection);
  groups_.leave(of(connection));
}

void CloneUpdates::apply(const Stamped& stamped) {
  if (groups_.empty()) return;
  pending_.push(stamped);
}

bool CloneUpdates::flush() {
  const std::size_t bytes_after = pending_.bytes() - std::min(pending_.bytes(), flush_bytes);
  for (std::size_t sent = 0; sent < flush_updates && pending_.bytes() > bytes_after; ++sent) {
    encode(pending_.front());
    pending_.pop_front();
    if (pieces_bytes_ >= pieces_bytes) send_all();
  }
  send_all();
  return !pending_.empty();
}

void CloneUpdates::encode(const Stamped& pending) {
  const auto& groups = groups_.match(pending.update->key);
  if (groups.empty()) return;
  encoded_.clear();
  zmtp::append_message(encoded_, clone::update(dialect_, *pending.update, pending.stamp).span());
  for (PrefixGroups::Group* group : groups) {
    if (group->slot == SIZE_MAX) {
      group->slot = pieces_.size();
      pieces_.push_back({.group = group});
    }
    Piece& piece = pieces_[group->slot];
    piece.messages += encoded_;
    piece.places.push_back({piece.messages.size(), pending.update->bytes(), pending.shard});
    pieces_bytes_ += encoded_.size();
    if (piece.messages.size() >= piece_bytes) send(piece);
  }
}

void CloneUpdates::send_all() {
  for (Piece& piece : pieces_) {
    send(piece);
    piece.group->slot = SIZE_MAX;
  }
  pieces_.clear();
}

void CloneUpdates::send(Piece& piece) {
  if (piece.places.empty()) return;
  pieces_bytes_ -= piece.messages.size();
  const auto buffer = std::make_shared<const std::string>(std::exchange(piece.messages, {}));
  for (PrefixGroups::Subscriber* member : piece.group->members) {
    deliver(static_cast<Subscriber&>(*member), buffer, piece);
  }
  piece.places.clear();
}

// A connection without room for the whole piece gets the updates that fit.
void CloneUpdates::deliver(Subscriber& subscriber, const net::Buffer& buffer, const Piece& piece) {
  net::Connection& connection = subscriber.connection;
  if (connection.closing()) return;
  const std::span<const Place> places(piece.places);
  const std::size_t limit = backend_.queue_limit();
  const std::size_t room = limit - std::min(limit, connection.queued_bytes());
  if (buffer->size() <= room) {
    connection.send(buffer);
    return count_delivered(places);
  }
  if (config_.slow_clients == config::SlowClients::disconnect) {
    return connection.close("slow_client");
  }
  const auto first = std::ranges::upper_bound(places, room, {}, &Place::end);
  const auto fitting = static_cast<std::size_t>(first - places.begin());
  if (fitting > 0) {
    connection.send(std::make_shared<const std::string>(*buffer, 0, places[fitting - 1].end));
    count_delivered(places.first(fitting));
  }
  count_missed(subscriber, places.subspan(fitting));
}

void CloneUpdates::count_missed(Subscriber& subscriber, std::span<const Place> places) {
  subscriber.missed += places.size();
  missed_ += places.size();
  std::unordered_map<std::size_t, std::uint64_t> by_shard;
  for (const Place& place : places) ++by_shard[place.shard];
  for (const auto& [shard, updates] : by_shard) {
    metrics_.missed_by_clients(backend_.partitions().shard_name(shard), clone::name(dialect_))
        .Increment(static_cast<double>(updates));
  }
  log_.warn("clone", "a client misses updates: it does not read fast enough",
            {{"dialect", clone::name(dialect_)},
             {"address", subscriber.connection.peer()},
             {"missed", places.size()}});
}

void CloneUpdates::count_delivered(std::span<const Place> places) {
  std::size_t bytes = 0;
  for (const Place& place : places) bytes += place.bytes;
  delivered_.Increment(static_cast<double>(places.size()));
  delivered_bytes_.Increment(static_cast<double>(bytes));
}

// A catch-up has stamps above all earlier ones. Gathered updates have lower stamps and go first:
// a client drops an update with a lower stamp than it has seen.
std::optional<base::Duration> CloneUpdates::serve() {
  if (!pending_.empty()) return std::nullopt;
  return catch_ups_.serve();
}

void CloneUpdates::send_heartbeat() {
  std::string message;
  zmtp::append_message(message, clone::heartbeat_message().span());
  const auto buffer = std::make_shared<const std::string>(std::move(message));
  for (const auto& [id, subscriber] : subscribers_) {
    bool hears = subscriber->heartbeats;
    for (std::size_t length = 0; length < clone::heartbeat.size() && !hears; ++length) {
      hears = subscriber->has(clone::heartbeat.substr(0, length));
    }
    net::Connection& connection = subscriber->connection;
    if (hears && connection.queued_bytes() < backend_.queue_limit()) connection.send(buffer);
  }
}

void CloneUpdates::describe(const net::Connection& connection,
                            wire::native::ClientInfo& view) const {
  const auto known = subscribers_.find(connection.id());
  if (known == subscribers_.end()) return;
  const Subscriber& subscriber = *known->second;
  view.missed = subscriber.missed;
  for (const std::string& prefix : subscriber.prefixes()) {
    if (view.subscriptions.size() == wire::native::max_shown_subscriptions) {
      view.subscriptions.emplace_back("…");
      break;
    }
    view.subscriptions.push_back(keyspace::shown(prefix));
  }
}

}  // namespace canopy::proxy
