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
  if (role == Role::updates) {
    topics_->forget_gone();
  } else {
    at(role).peers.forget_gone(at(role).monitor, [](const auto&) {});
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
  at(Role::updates).monitor.mark_spoken(message.source_fd());
  if (keyspace::check_prefix(topic) != keyspace::KeyFault::none) return false;  // matches no key
  if (!guard_.may_read(message, topic, std::string(clone::name(dialect_)) + " subscription")) {
    return false;
  }
  subscriptions_.add(topic);
  gate_.on_subscription(message.peer_address(), topic, loop_.now());
  backend_.need(topic);
  return true;
}

// Another client bears this routing id now: what the one before asked for is not for him.
void CloneFrontend::forget(const std::string& peer) {
  std::erase_if(released_, [&](const JoinGate::Request& request) { return request.peer == peer; });
  snapshots_.drop(peer);
}

void CloneFrontend::read_requests() {
  net::Socket& socket = at(Role::snapshot).socket;
  if (guard_.on()) read_monitor(Role::snapshot);
  for (int i = 0; i < messages_per_turn && socket.receive(message_); ++i) {
    if (guard_.on()) {
      Listener& listener = at(Role::snapshot);
      const std::string peer(message_[0]);
      if (listener.peers.takes_over(peer, message_, listener.monitor)) forget(peer);
    }
    const auto request = clone::parse_snapshot_request(message_.views(1));
    if (const auto* rejection = std::get_if<clone::Rejection>(&request)) {
      metrics_.reject(rejection->reason);
      log_.warn("clone", "snapshot request refused",
                {{"dialect", clone::name(dialect_)}, {"reason", rejection->reason}});
      continue;
    }
    const std::string_view prefix = std::get<std::string_view>(request);
    if (!guard_.may_read(message_, prefix, std::string(clone::name(dialect_)) + " snapshot")) {
      continue;
    }
    if (!gate_.on_request(message_.peer_address(), std::string(message_[0]), std::string(prefix),
                          loop_.now())) {
      metrics_.reject("snapshot_queue_full");
      continue;
    }
    backend_.need(prefix);
  }
}

void CloneFrontend::read_writes() {
  net::Socket& socket = at(Role::collector).socket;
  if (guard_.on()) read_monitor(Role::collector);
  int count = 0;
  for (; count < messages_per_turn && socket.receive(message_); ++count) {
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

Delivery CloneFrontend::deliver(const std::string& peer, std::span<const std::string_view> frames) {
  net::Socket& socket = at(Role::snapshot).socket;
  if (guard_.on()) {  // the routing id may be another's by now
    read_monitor(Role::snapshot);
    if (!at(Role::snapshot).peers.stands(peer, at(Role::snapshot).monitor)) return Delivery::gone;
  }
  switch (socket.send_frame(std::string_view(peer), true)) {
    case net::SendResult::sent: break;
    case net::SendResult::would_block: return Delivery::blocked;
    case net::SendResult::no_route: return Delivery::gone;
  }
  socket.send(frames);
  return Delivery::sent;
}

void CloneFrontend::finished(const char* result, base::Duration took) {
  metrics_.snapshot_requests
      .Add({{"dialect", std::string(clone::name(dialect_))}, {"result", result}})
      .Increment();
  metrics_.snapshot_duration.Observe(std::chrono::duration<double>(took).count());
}

std::optional<base::Duration> CloneFrontend::serve(bool full) {
  const base::TimePoint now = loop_.now();
  if (!gate_.empty()) {
    for (auto& request : gate_.take_released(
             now, {.subscriptions_pending = subscriptions_pending(now), .full = full}))
      released_.push_back(std::move(request));
  }
  for (std::size_t left = released_.size(); left > 0 && snapshots_.size() < max_snapshots_;
       --left) {
    JoinGate::Request request = std::move(released_.front());
    released_.pop_front();
    if (backend_.ready(request.prefix)) {
      const Cut cut = backend_.cut(request.prefix);
      snapshots_.open(std::move(request.peer), std::move(request.prefix), cut, now);
    } else {
      backend_.need(request.prefix);
      released_.push_back(std::move(request));
    }
  }
  const Snapshots::Sink sink{
      .entry =
          [this](const std::string& peer, const keyspace::Update& entry, std::int64_t stamp) {
            return deliver(peer, clone::update(dialect_, entry, stamp).span());
          },
      .end =
          [this](const std::string& peer, const std::string& prefix, std::int64_t stamp) {
            return deliver(peer, clone::end_of_snapshot(dialect_, prefix, stamp).span());
          },
      .finished = [this](const char* result, base::Duration took) { finished(result, took); }};
  if (snapshots_.send(sink, now)) return 0ms;
  if (snapshots_.size() > 0) return blocked_retry;
  if (!gate_.empty() || !released_.empty()) return gate_poll;
  return std::nullopt;
}

// Whether some client that is just joining may not have its subscription here yet: its updates
// connection is accepted but silent, or not even accepted while its snapshot connection is.
bool CloneFrontend::subscriptions_pending(base::TimePoint now) const {
  const auto joining = [now](const auto& entry) {
    return now - entry.second.since < JoinGate::joining;
  };
  const auto& updates = at(Role::updates).monitor.connections();
  const auto& snapshots = at(Role::snapshot).monitor.connections();
  const auto silent = [&](const auto& entry) { return !entry.second.spoke && joining(entry); };
  return std::ranges::any_of(updates, silent) ||
         std::ranges::count_if(snapshots, joining) > std::ranges::count_if(updates, joining);
}

void CloneFrontend::second() {
  if (dialect_ == clone::Dialect::chp) send(clone::heartbeat_message().span());
  if (subscriptions_.overflowed()) return backend_.need("");
  for (const auto& [topic, subscribers] : subscriptions_.topics()) backend_.need(topic);
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
