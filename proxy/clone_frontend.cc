#include "proxy/clone_frontend.h"

#include <algorithm>

#include "core/keyspace/key.h"

namespace canopy::proxy {
namespace {

namespace clone = wire::clone;
namespace log = base::log;
using namespace std::chrono_literals;

constexpr int messages_per_turn = 1000;
// How soon a client whose queue is full is tried again.
constexpr base::Duration blocked_retry = 2ms;
constexpr base::Duration gate_poll = 5ms;
// How long a peer may take to send its first byte.
constexpr base::Duration silent_peer = 3s;
constexpr std::size_t max_requests = 10'000;  // snapshots that clients wait for
constexpr std::size_t max_requests_per_client = 64;

const char* label(Role role) {
  switch (role) {
    case Role::snapshot: return "snapshot";
    case Role::updates: return "updates";
    case Role::collector: return "collector";
  }
  return "";
}

net::SocketType socket_type(clone::Dialect dialect, Role role) {
  switch (role) {
    case Role::snapshot: return net::SocketType::router;
    case Role::updates: return net::SocketType::xpub;
    case Role::collector:
      return dialect == clone::Dialect::chp ? net::SocketType::sub : net::SocketType::pull;
  }
  return net::SocketType::pull;
}

net::SocketOptions socket_options(Role role, const config::Proxy& proxy, bool guarded) {
  net::SocketOptions options;
  // libzmq never cancels the handshake timer of a ZMTP 2.0 peer, as Clone clients may be: it
  // disconnects them each time that this is over.
  options.handshake = 30s;
  if (role == Role::snapshot) options.router_mandatory = true;
  if (role == Role::updates) {
    options.send_hwm = proxy.client_hwm;
    options.xpub_verbose = true;  // each client's coming and going is seen, not the first and last
    options.xpub_manual = guarded;
    options.xpub_nodrop = true;  // a full subscriber is noticed before it is skipped
  }
  if (role == Role::collector) options.send_hwm = 0;
  return options;
}

}  // namespace

CloneFrontend::CloneFrontend(clone::Dialect dialect, const config::Endpoint& first,
                             const config::Proxy& proxy, net::Context& context, net::Loop& loop,
                             Metrics& metrics, Guard& guard, Backend& backend)
    : dialect_(dialect),
      loop_(loop),
      metrics_(metrics),
      guard_(guard),
      backend_(backend),
      max_snapshots_(proxy.max_snapshots),
      writes_received_(
          metrics.writes_received.Add({{"dialect", std::string(clone::name(dialect))}})),
      delivered_(metrics.delivered.Add({{"dialect", std::string(clone::name(dialect))}})),
      delivered_bytes_(
          metrics.delivered_bytes.Add({{"dialect", std::string(clone::name(dialect))}})),
      blocked_(metrics.blocked_sends.Add({{"dialect", std::string(clone::name(dialect))}})),
      waiting_(metrics.snapshots_waiting.Add({{"dialect", std::string(clone::name(dialect))}})) {
  const std::string dialect_name(clone::name(dialect));
  for (const Role role : roles) {
    const int offset = static_cast<int>(role);
    listeners_[static_cast<std::size_t>(role)] = std::make_unique<Listener>(
        context, socket_type(dialect, role), socket_options(role, proxy, guard.on()), guard.keys(),
        config::next_port(first, offset), dialect_name + "-" + label(role),
        metrics.connections.Add({{"dialect", dialect_name}, {"role", label(role)}}));
  }
  topics_ =
      topics_of(at(Role::updates), guard.on(),
                {.look = [this] { read_monitor(Role::updates); },
                 .begin = [this](std::string_view topic,
                                 const net::Message& message) { return begin(topic, message); },
                 .end =
                     [this](std::string_view topic) {
                       if (!is_heartbeat(topic)) subscriptions_.remove(topic);
                     },
                 .reject = [this](std::string_view reason) { metrics_.reject(reason); }});
  if (dialect == clone::Dialect::chp) at(Role::collector).socket.subscribe("");
  // Subscriptions are read before requests, and both before updates are cut.
  loop_.on_readable(at(Role::updates).socket,
                    [this] { topics_->read(message_, messages_per_turn); });
  loop_.on_readable(at(Role::snapshot).socket, [this] { read_requests(); });
  loop_.on_readable(at(Role::collector).socket, [this] { read_writes(); });
  for (const Role role : roles) {
    loop_.on_readable(at(role).monitor.socket(), [this, role] { read_monitor(role); });
  }
}

void CloneFrontend::read_monitor(Role role) {
  if (!count_connections(role, loop_.now())) return;
  const auto ended = at(role).monitor.take_ended();
  if (role == Role::updates) {
    topics_->forget(ended);
    for (const PeerId peer : ended) gate_.end(peer);
  } else {
    at(role).peers.forget(ended);
  }
  backend_.connections_changed();
}

void CloneFrontend::look() {
  for (const Role role : roles) read_monitor(role);
}

// The heartbeats of chp, which are everybody's; to the other dialects the word is a prefix of keys.
bool CloneFrontend::is_heartbeat(std::string_view topic) const {
  return dialect_ == clone::Dialect::chp && topic == clone::heartbeat;
}

bool CloneFrontend::begin(std::string_view topic, const net::Message& message) {
  if (is_heartbeat(topic)) return true;
  net::Monitor& monitor = at(Role::updates).monitor;
  monitor.mark_spoken(message.source_fd());
  if (keyspace::check_prefix(topic) != keyspace::KeyFault::none) return false;  // matches no key
  if (!guard_.may_read(message, topic, std::string(clone::name(dialect_)) + " subscription")) {
    return false;
  }
  subscriptions_.add(topic, backend_.lease(topic));
  if (subscriptions_.overflowed() && !everything_) everything_ = backend_.lease("");
  // A peer older than ZMTP 3 has no connection here: its request is answered after `grace`.
  if (const auto* connection = monitor.find(message.source_fd())) {
    gate_.on_subscription({connection->number, connection->since, message.peer_address(),
                           std::string(guard_.on() ? message.sender().name : "")},
                          topic, loop_.now());
  }
  return true;
}

// Whatever a connection asked for ends with it. Not done by read_monitor(), which is called while
// snapshots are sent.
void CloneFrontend::forget_ended() {
  for (const PeerId peer : at(Role::snapshot).peers.take_ended()) {
    gate_.end(peer);
    std::erase_if(released_, [&](const auto& request) { return request.peer == peer; });
    snapshots_.drop(peer);
    const auto asked = asked_.extract(peer);
    if (asked.empty()) continue;
    metrics_.snapshot_requests
        .Add({{"dialect", std::string(clone::name(dialect_))}, {"result", "client_gone"}})
        .Increment(static_cast<double>(asked.mapped()));
  }
}

void CloneFrontend::read_requests() {
  for (int i = 0; i < messages_per_turn && receive(Role::snapshot, message_); ++i) {
    if (!acceptable(Role::snapshot, message_)) continue;
    const PeerId peer = requester(Role::snapshot, message_);
    if (peer != 0) take_request(peer);
  }
  forget_ended();
}

void CloneFrontend::take_request(PeerId peer) {
  const auto request = clone::parse_snapshot_request(message_.views(1));
  if (const auto* rejection = std::get_if<clone::Rejection>(&request)) {
    metrics_.reject(rejection->reason);
    log_.warn("clone", "snapshot request refused",
              {{"dialect", clone::name(dialect_)}, {"reason", rejection->reason}});
    return;
  }
  const std::string_view prefix = std::get<std::string_view>(request);
  if (!guard_.may_read(message_, prefix, std::string(clone::name(dialect_)) + " snapshot")) return;
  if (gate_.waiting() + released_.size() + snapshots_.size() >= max_requests) {
    return metrics_.reject("snapshot_queue_full");
  }
  std::size_t& asked = asked_[peer];
  if (asked >= max_requests_per_client) return metrics_.reject("too_many_requests");
  ++asked;
  const auto* connection = at(Role::snapshot).monitor.find(message_.source_fd());
  gate_.on_request(
      {peer, connection == nullptr ? loop_.now() : connection->since, message_.peer_address(),
       std::string(guard_.on() ? message_.sender().name : "")},
      std::string(prefix), loop_.now(), backend_.lease(prefix));
}

void CloneFrontend::read_writes() {
  net::Socket& socket = at(Role::collector).socket;
  if (guard_.on()) read_monitor(Role::collector);
  int count = 0;
  for (; count < messages_per_turn && socket.receive(message_); ++count) {
    if (!acceptable(Role::collector, message_)) continue;
    auto parsed = clone::parse_write(dialect_, message_.views());
    if (const auto* rejection = std::get_if<clone::Rejection>(&parsed)) {
      metrics_.reject(rejection->reason);
      log_.warn("clone", "update refused",
                {{"dialect", clone::name(dialect_)}, {"reason", rejection->reason}});
      continue;
    }
    if (guard_.on()) at(Role::collector).peers.meet(message_, at(Role::collector).monitor);
    auto& [write, ignored] = std::get<clone::ClientWrite>(parsed);
    if (!guard_.may_write(message_, write.key)) continue;
    if (!ignored.empty()) {
      metrics_.ignored_metadata.Add({{"reason", std::string(ignored)}}).Increment();
    }
    wire::RoutedRequest request;  // nobody waits for an answer
    request.request.writes.push_back(std::move(write));
    const wire::Fault fault = backend_.write(std::move(request));
    if (fault != wire::Fault::none) metrics_.reject(wire::name(fault));
  }
  writes_received_.Increment(count);
}

void CloneFrontend::publish(std::span<const Stamped> updates) {
  if (connections(Role::updates) == 0) return;
  std::size_t delivered = 0;
  std::size_t bytes = 0;
  for (const Stamped& stamped : updates) {
    // Whoever hears the heartbeats would see such keys as well.
    if (guard_.on() && is_heartbeat(stamped.update->key.substr(0, clone::heartbeat.size())))
      continue;
    send(clone::update(dialect_, *stamped.update, stamped.stamp).span());
    const std::size_t subscribers = subscriptions_.matching(stamped.update->key);
    delivered += subscribers;
    bytes += subscribers * stamped.update->bytes();
  }
  delivered_.Increment(static_cast<double>(delivered));
  delivered_bytes_.Increment(static_cast<double>(bytes));
}

// A full subscriber makes the first frame fail: count it, then go on without it for this message.
void CloneFrontend::send(std::span<const std::string_view> frames) {
  net::Socket& socket = at(Role::updates).socket;
  if (socket.send(frames) == net::SendResult::sent) return;
  blocked_.Increment();
  socket.set_xpub_nodrop(false);
  socket.send(frames);
  socket.set_xpub_nodrop(true);
}

Delivery CloneFrontend::deliver(PeerId peer, std::span<const std::string_view> frames) {
  switch (begin_reply(Role::snapshot, peer)) {
    case net::SendResult::sent: break;
    case net::SendResult::would_block: return Delivery::blocked;
    case net::SendResult::no_route: return Delivery::gone;
  }
  at(Role::snapshot).socket.send(frames);
  return Delivery::sent;
}

void CloneFrontend::finished(PeerId peer, const char* result, base::Duration took) {
  if (const auto asked = asked_.find(peer); asked != asked_.end() && --asked->second == 0) {
    asked_.erase(asked);
  }
  metrics_.snapshot_requests
      .Add({{"dialect", std::string(clone::name(dialect_))}, {"result", result}})
      .Increment();
  metrics_.snapshot_duration.Observe(std::chrono::duration<double>(took).count());
}

// A snapshot whose client does not take it holds no place. A client's snapshots are sent one after
// another.
void CloneFrontend::open_snapshots(base::TimePoint now) {
  std::size_t active = snapshots_.active();
  for (auto at = released_.begin(); at != released_.end() && active < max_snapshots_;) {
    if (snapshots_.serves(at->peer) || !backend_.ready(at->prefix)) {
      ++at;
    } else {
      const Cut cut = backend_.cut(at->prefix);
      snapshots_.open(at->peer, std::move(at->prefix), cut, now, std::move(at->lease));
      at = released_.erase(at);
      ++active;
    }
  }
}

std::optional<base::Duration> CloneFrontend::serve(bool full) {
  const base::TimePoint now = loop_.now();
  forget_ended();
  settle(Role::snapshot);
  if (!gate_.empty()) {
    for (auto& request :
         gate_.take_released(now, {.silent = silent_addresses(now), .full = full})) {
      released_.push_back(std::move(request));
    }
  }
  open_snapshots(now);
  const Snapshots::Sink sink{
      .entry =
          [this](PeerId peer, const keyspace::Update& entry, std::int64_t stamp) {
            return deliver(peer, clone::update(dialect_, entry, stamp).span());
          },
      .end =
          [this](PeerId peer, const std::string& prefix, std::int64_t stamp) {
            return deliver(peer, clone::end_of_snapshot(dialect_, prefix, stamp).span());
          },
      .finished = [this](PeerId peer, const char* result,
                         base::Duration took) { finished(peer, result, took); }};
  if (snapshots_.send(sink, now)) return 0ms;
  if (snapshots_.size() > 0) return blocked_retry;
  if (!gate_.empty() || !released_.empty()) return gate_poll;
  return std::nullopt;
}

// Of updates connections that were just accepted and have not subscribed to anything yet.
std::set<std::string> CloneFrontend::silent_addresses(base::TimePoint now) const {
  std::set<std::string> addresses;
  for (const auto& [fd, connection] : at(Role::updates).monitor.connections()) {
    if (!connection.spoke && now - connection.since < JoinGate::joining) {
      addresses.insert(connection.address);
    }
  }
  return addresses;
}

void CloneFrontend::second() {
  for (const Role role : roles) at(role).monitor.cut_silent(silent_peer, loop_.now());
  Listener& snapshot = at(Role::snapshot);
  metrics_.reject("routing_id_in_use",
                  static_cast<double>(snapshot.peers.cut_unheard(snapshot.monitor, loop_.now())));
  if (dialect_ == clone::Dialect::chp) send(clone::heartbeat_message().span());
}

void CloneFrontend::announce(coordination::ProxyMember& member,
                             const std::string& advertise) const {
  const coordination::Triple triple{advertised(Role::snapshot, advertise),
                                    advertised(Role::updates, advertise),
                                    advertised(Role::collector, advertise)};
  switch (dialect_) {
    case clone::Dialect::kvsimple: member.kvsimple = triple; break;
    case clone::Dialect::kvmsg: member.kvmsg = triple; break;
    case clone::Dialect::chp: member.chp = triple; break;
  }
}

void CloneFrontend::report() {
  waiting_.Set(static_cast<double>(gate_.waiting() + released_.size() + snapshots_.size()));
}

}  // namespace canopy::proxy
