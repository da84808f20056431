#include "proxy/clone_snapshots.h"

namespace canopy::proxy {

namespace clone = wire::clone;

CloneSnapshots::CloneSnapshots(clone::Dialect dialect, const config::Proxy& config,
                               Metrics& metrics, Backend& backend, RecentCuts& cuts,
                               std::size_t high_water)
    : dialect_(dialect),
      config_(config),
      metrics_(metrics),
      backend_(backend),
      cuts_(cuts),
      high_water_(high_water),
      waiting_(metrics.snapshots_waiting.Add({{"dialect", std::string(clone::name(dialect))}})) {}

CloneSnapshots::Requester& CloneSnapshots::of(net::Connection& connection) {
  return static_cast<Requester&>(*connection.attachment());
}

void CloneSnapshots::on_ready(net::Connection& connection) {
  auto requester = std::make_unique<Requester>(connection);
  requesters_.emplace(connection.id(), requester.get());
  connection.attach(std::move(requester));
}

void CloneSnapshots::on_message(net::Connection& connection,
                                std::span<const std::string_view> parts) {
  const auto request = clone::parse_snapshot_request(parts);
  if (const auto* rejection = std::get_if<clone::Rejection>(&request)) {
    metrics_.reject(rejection->reason);
    log_.warn("clone", "snapshot request refused",
              {{"dialect", clone::name(dialect_)},
               {"address", connection.peer()},
               {"reason", rejection->reason}});
    return;
  }
  const std::string_view prefix = std::get<std::string_view>(request);
  const std::string what = std::string(clone::name(dialect_)) + " snapshot";
  if (!backend_.may_read(connection, prefix, what)) return;
  if (requests_ >= max_requests) return metrics_.reject("snapshot_queue_full");
  Requester& requester = of(connection);
  const std::size_t own = requester.waiting.size() + (requester.snapshot ? 1 : 0);
  if (own >= max_requests_per_client) return metrics_.reject("too_many_requests");
  ++requests_;
  requester.waiting.push_back({.prefix = std::string(prefix), .lease = backend_.lease(prefix)});
  if (!requester.snapshot) queue(requester, asking_);
}

void CloneSnapshots::on_drained(net::Connection& connection) {
  Requester& requester = of(connection);
  if (!requester.snapshot) return;
  requester.snapshot->room = Room::available;
  requester.snapshot->moved = backend_.now();
  queue(requester, sending_);
}

void CloneSnapshots::on_closed(net::Connection& connection, std::string_view) {
  if (requesters_.erase(connection.id()) == 0) return;  // its handshake failed
  const Requester& requester = of(connection);
  const std::size_t own = requester.waiting.size() + (requester.snapshot ? 1 : 0);
  requests_ -= own;
  if (own > 0) count("client_gone", own);
  waiting_.Set(static_cast<double>(requests_));
}

void CloneSnapshots::queue(Requester& requester, Queue& where) {
  if (std::exchange(requester.queued, true)) return;
  where.push_back(requester.connection.id());
}

// Null when its connection has ended.
CloneSnapshots::Requester* CloneSnapshots::pop(Queue& from) {
  const auto known = requesters_.find(from.front());
  from.pop_front();
  if (known == requesters_.end()) return nullptr;
  known->second->queued = false;
  return known->second->connection.closing() ? nullptr : known->second;
}

std::optional<base::Duration> CloneSnapshots::serve() {
  begin_snapshots();
  const std::size_t before = sending_.size();
  std::size_t budget = entries_per_turn;
  std::vector<Requester*> without_room;
  while (!sending_.empty() && budget > 0) {
    Requester* const requester = pop(sending_);
    if (requester == nullptr) continue;
    if (requester->snapshot) advance(*requester, budget);
    if (!requester->snapshot) {
      if (!requester->waiting.empty()) queue(*requester, asking_);
    } else if (requester->snapshot->room == Room::available) {
      queue(*requester, sending_);
    } else if (requester->snapshot->room == Room::retry) {
      without_room.push_back(requester);
    }
  }
  bool more = !sending_.empty();
  for (Requester* requester : without_room) queue(*requester, sending_);
  more |= sending_.size() < before && !asking_.empty();  // other snapshots may begin
  waiting_.Set(static_cast<double>(requests_));
  if (more) return base::Duration{0};
  return without_room.empty() ? std::nullopt : std::optional(room_retry);
}

// A snapshot whose client does not read does not count towards `max_snapshots`. A request whose
// mirrors do not exist yet keeps its position in the queue.
void CloneSnapshots::begin_snapshots() {
  std::unordered_map<std::string, bool> ready;  // by prefix
  for (std::size_t left = asking_.size(); left > 0 && sending_.size() < config_.max_snapshots;
       --left) {
    Requester* const requester = pop(asking_);
    if (requester == nullptr) continue;
    const std::string& prefix = requester->waiting.front().prefix;
    const auto [known, is_new] = ready.try_emplace(prefix, false);
    if (is_new) known->second = backend_.ready(prefix);
    if (known->second) {
      begin(*requester);
    } else {
      queue(*requester, asking_);
    }
  }
}

void CloneSnapshots::begin(Requester& requester) {
  Request request = std::move(requester.waiting.front());
  requester.waiting.pop_front();
  const base::TimePoint now = backend_.now();
  requester.snapshot = Snapshot{};
  Snapshot& snapshot = *requester.snapshot;
  snapshot.prefix = std::move(request.prefix);
  snapshot.lease = std::move(request.lease);
  snapshot.stamp = backend_.last_stamp();
  snapshot.began = snapshot.moved = now;
  std::vector<RecentCuts::Cut> cuts;
  for (const std::size_t partition : backend_.partitions().covering(snapshot.prefix)) {
    const cluster::Mirror& mirror = *backend_.partitions().mirror(partition);
    snapshot.cursors.push_back(mirror.tree().view().seek(snapshot.prefix));
    cuts.push_back({partition, mirror.revision(), mirror.lineage()});
  }
  cuts_.add(snapshot.prefix, std::move(cuts), now);
  queue(requester, sending_);
}

void CloneSnapshots::advance(Requester& requester, std::size_t& budget) {
  Snapshot& snapshot = *requester.snapshot;
  net::Connection& connection = requester.connection;
  for (std::size_t i = 0; i < entries_at_a_time && budget > 0; ++i) {
    snapshot.room = room_of(connection, high_water_, backend_.queue_limit());
    if (snapshot.room != Room::available) return;
    if (snapshot.cursors.empty()) {
      connection.send(clone::end_of_snapshot(dialect_, snapshot.prefix, snapshot.stamp).span());
      return finish(requester, "sent");
    }
    --budget;
    auto& cursor = snapshot.cursors.front();
    if (cursor.done() || !(*cursor)->key.starts_with(snapshot.prefix)) {
      snapshot.cursors.pop_front();
      continue;
    }
    const keyspace::Update& entry = **cursor;
    if (!entry.value.empty()) {
      connection.send(clone::update(dialect_, entry, snapshot.stamp).span());
      snapshot.moved = backend_.now();
    }
    cursor.next();
  }
}

void CloneSnapshots::finish(Requester& requester, const char* result) {
  const std::chrono::duration<double> took = backend_.now() - requester.snapshot->began;
  metrics_.snapshot_duration.Observe(took.count());
  count(result, 1);
  --requests_;
  requester.snapshot.reset();
}

void CloneSnapshots::expire() {
  const base::TimePoint now = backend_.now();
  for (const auto& [id, requester] : requesters_) {
    if (!requester->snapshot || requester->snapshot->room == Room::available) continue;
    if (now - requester->snapshot->moved <= timeout) continue;
    finish(*requester, "timeout");
    if (!requester->waiting.empty()) queue(*requester, asking_);
  }
}

void CloneSnapshots::count(const char* result, std::size_t requests) {
  metrics_.snapshot_requests
      .Add({{"dialect", std::string(clone::name(dialect_))}, {"result", result}})
      .Increment(static_cast<double>(requests));
}

}  // namespace canopy::proxy
