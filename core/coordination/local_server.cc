#include "core/coordination/local_server.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/coordination/backup.h"
#include "core/coordination/partition_record.h"
#include "core/net/curve_server.h"

namespace canopy::coordination {
namespace {

// Leases are checked ten times in a lease, but no more often than this.
constexpr base::Duration longest_tick = std::chrono::milliseconds(250);
// A tick this late means that this process was stopped, not that its sessions have ended.
constexpr base::Duration stall = std::chrono::milliseconds(500);

// Whether the peer of a connection is a process of this machine, so that no device between can
// close the connection.
bool is_on_this_machine(std::string_view peer) {
  return peer == "local" || peer.starts_with("127.") || peer.starts_with("[::1]");
}

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

LocalServer::LocalServer(net::Connections& server, base::Duration lease, std::size_t queue_bytes,
                         const Security* security, cluster::DirectoryRecord record)
    : server_(server),
      loop_(server.loop()),
      queue_bytes_(queue_bytes),
      authority_(security == nullptr ? nullptr : &security->authority),
      registry_(lease, std::move(record), loop_.now()),
      last_tick_(loop_.now()) {
  if (security != nullptr) {
    curve_ = net::curve_server(security->keys, loop_,
                               [this](std::string_view key) { return authority_->name_of(key); });
  }
  timer_ = loop_.every(std::min(lease / 10, longest_tick), [this] { tick(); });
}

LocalServer::~LocalServer() {
  loop_.cancel(timer_);
  loop_.cancel(commit_timer_);
}

base::Status LocalServer::bind(const std::string& endpoint, std::chrono::milliseconds patience) {
  auto address = net::parse_listen_address(endpoint);
  if (!address) return base::Error{address.error()};
  listener_ = std::make_unique<net::Listener>(
      server_,
      net::ListenerSettings{.address = std::move(*address),
                            .connection = {.peer = {.type = zmtp::SocketType::router,
                                                    .limits = {.frame_bytes = max_message_bytes},
                                                    .curve = curve_ ? &*curve_ : nullptr}},
                            .closings = &closings_,
                            .name = "directory"},
      static_cast<net::ConnectionEvents&>(*this));
  return listener_->open(patience);
}

// Of two connections with the routing id of one process the newer one counts: the process has
// connected again, and the broker has not yet noticed that the older one is broken. A client's
// routing id is ignored, so that a client cannot take over a session.
void LocalServer::on_ready(net::Connection& connection) {
  auto peer = std::make_unique<Peer>();
  const std::string& chosen = connection.info().routing_id;
  peer->session = is_own_process(connection) && !chosen.empty()
                      ? chosen
                      : std::string(1, '\0') + std::to_string(connection.id());
  const auto [route, is_new] = routes_.try_emplace(peer->session, connection.id());
  if (!is_new) {
    if (auto* before = listener_->find(route->second)) before->close("replaced");
    route->second = connection.id();
  }
  connection.attach(std::move(peer));
}

void LocalServer::on_closed(net::Connection& connection, std::string_view reason) {
  if (connection.attachment() == nullptr) return;
  const cluster::SessionId& session = peer_of(connection).session;
  const auto route = routes_.find(session);
  if (route == routes_.end() || route->second != connection.id()) return;
  routes_.erase(route);
  if (reason == "peer" && is_on_this_machine(connection.peer())) {
    carry_out(registry_.disconnected(session, loop_.now()));
  }
}

LocalServer::Peer& LocalServer::peer_of(const net::Connection& connection) {
  return static_cast<Peer&>(*connection.attachment());
}

void LocalServer::close_clients(std::span<const std::string> names) {
  std::vector<net::Connection*> changed;
  listener_->for_each([&](net::Connection& connection) {
    if (std::ranges::find(names, connection.info().user) != names.end()) {
      changed.push_back(&connection);
    }
  });
  for (net::Connection* connection : changed) {
    if (connection->attachment() != nullptr && peer_of(*connection).reloads > 0) {
      peer_of(*connection).leaving = true;
      connection->pause_reading();
    } else {
      connection->close("permissions");
    }
  }
}

void LocalServer::on_message(net::Connection& connection, std::span<const std::string_view> parts) {
  if (connection.closing() || peer_of(connection).leaving) return;
  const cluster::SessionId& from = peer_of(connection).session;
  if (parts.size() != 1) return reject(from, "frame_count", "not one frame");
  const std::string_view frame = parts.front();
  if (wire::native::is_native(frame)) return serve_client(connection, frame);
  const auto request = decode_request(frame);
  if (!is_own_process(connection)) {
    if (request) return forbid(connection, "registration");
    return serve_client(connection, frame);  // refuses it in the protocol of clients
  }
  if (request) return handle(from, *request);
  // A peer without a session is a client: refused in the protocol of clients.
  if (!links_.contains(from)) return serve_client(connection, frame);
  reject(from, "malformed", request.error());
}

void LocalServer::serve_client(net::Connection& connection, std::string_view frame) {
  namespace native = wire::native;
  auto decoded = native::decode_to_broker(frame);
  if (auto* refusal = std::get_if<native::Refusal>(&decoded)) return reply(connection, *refusal);
  std::visit(
      [&](const auto& request) {
        if (!may(connection, request)) {
          log_forbidden(connection, "drain, reload, elect, place, split or backup");
          return reply(connection, native::Refusal{.request = request.request,
                                                   .fault = wire::Fault::forbidden,
                                                   .text = "this key is not granted that"});
        }
        carry_out(connection, request);
      },
      std::get<native::ToBroker>(decoded));
}

void LocalServer::reply(net::Connection& connection, const wire::native::FromBroker& answer) {
  if (const auto* refusal = std::get_if<wire::native::Refusal>(&answer); refusal && rejected_) {
    rejected_(wire::name(refusal->fault));
  }
  std::visit([&](const auto& message) { push(connection, wire::native::encode(message)); }, answer);
}

bool LocalServer::is_own_process(const net::Connection& connection) const {
  return authority_ == nullptr || authority_->is_own_process(connection.info().user);
}

bool LocalServer::may(const net::Connection& connection, const wire::native::Directory&) const {
  return is_own_process(connection) || authority_->is_client(connection.info().user);
}

template <typename AdminRequest>
bool LocalServer::may(const net::Connection& connection, const AdminRequest&) const {
  return authority_ == nullptr || authority_->is_admin(connection.info().user);
}

// Not answered: it is no client request, and no process waits for a reply.
void LocalServer::forbid(const net::Connection& connection, std::string_view what) {
  if (rejected_) rejected_(wire::name(wire::Fault::forbidden));
  log_forbidden(connection, what);
}

void LocalServer::log_forbidden(const net::Connection& connection, std::string_view what) {
  forbidden_.warn("security", "forbidden", {{"client", connection.info().user}, {"what", what}});
}

void LocalServer::reject(const cluster::SessionId& from, std::string_view reason,
                         const std::string& why) {
  strange_.warn("directory", "message refused", {{"reason", reason}, {"why", why}});
  if (rejected_) rejected_(reason);
  carry_out({.messages = {{from, cluster::Failed{cluster::Fault::malformed, why}}}, .changes = {}});
}

void LocalServer::tick() {
  const base::TimePoint now = loop_.now();
  if (now - std::exchange(last_tick_, now) > stall) registry_.renew_leases(now);
  carry_out(registry_.expire(now));
}

void LocalServer::register_process(const cluster::SessionId& from, const Register& process,
                                   std::uint64_t number) {
  const std::uint32_t floor = registry_.floor();
  const cluster::Effects effects = registry_.register_process(from, process, loop_.now());
  if (registry_.floor() != floor) {
    base::log::warn("directory", "a record of generations was lost; goes on above it",
                    {{"name", process.name}, {"knows", registry_.floor()}});
  }
  carry_out(effects);
  if (registry_.knows(from)) {
    links_[from] = {.received = number, .sent = 0};
    send(from, Welcome{static_cast<std::uint64_t>(registry_.lease().count()),
                       registry_.generation(from), registry_.record(), number});
    return;
  }
  for (const cluster::Message& message : effects.messages) {
    const auto* failed = std::get_if<cluster::Failed>(&message.body);
    if (failed == nullptr || message.to != from) continue;
    refused_.warn("directory", "process refused",
                  {{"name", process.name},
                   {"why", cluster::to_text(failed->fault)},
                   {"subject", failed->subject}});
    if (rejected_)
      rejected_(failed->fault == cluster::Fault::name_taken ? "name_taken" : "registration");
  }
}

void LocalServer::handle(const cluster::SessionId& from, const Numbered<Request>& request) {
  if (const auto* process = std::get_if<Register>(&request.body)) {
    return register_process(from, *process, request.number);
  }
  // A hole in the count is answered like a lost session: the process must register again.
  const auto link = links_.find(from);
  if (link != links_.end() && request.number != ++link->second.received) {
    link->second.received = 0;  // nothing counts before the next Register
    carry_out({.messages = {{from, cluster::Failed{cluster::Fault::unknown_session, {}}}},
               .changes = {}});
    return;
  }
  carry_out(apply(from, request.body));
  if (std::holds_alternative<Ping>(request.body) && registry_.knows(from)) {
    send(from, Pong{request.number});
  }
}

cluster::Effects LocalServer::apply(const cluster::SessionId& from, const Request& request) {
  const base::TimePoint now = loop_.now();
  return std::visit(
      Overloaded{
          [&](const Register&) { return cluster::Effects{}; },  // handled before
          [&](const Ping&) { return registry_.ping(from, now); },
          [&](const Announce& m) { return registry_.announce(from, m.key, m.value, now); },
          [&](const CompareAndSet& m) {
            return registry_.compare_and_set(from, m.request, m.key, m.value, m.expected, now);
          },
          [&](const Watch& m) { return registry_.watch(from, m.prefix, now); },
          [&](const Resign&) { return registry_.resign(from, now); },
      },
      request);
}

// Sends replies. Staged changes are committed in this turn's timers, which run after the messages
// of the turn.
void LocalServer::carry_out(const cluster::Effects& effects) {
  for (const cluster::Message& message : effects.messages) {
    const Reply reply =
        std::visit([](const auto& answer) -> Reply { return answer; }, message.body);
    send(message.to, reply);
  }
  for (const cluster::Change& change : effects.changes) {
    if (const auto* ended = std::get_if<cluster::SessionEnded>(&change)) {
      links_.erase(ended->session);
    }
    if (observer_) observer_(change);
  }
  if (registry_.has_staged() && commit_timer_ == 0) {
    commit_timer_ = loop_.after({}, [this] { commit(); });
  }
}

void LocalServer::commit() {
  commit_timer_ = 0;
  const bool was_kept = registry_.failure().empty();
  carry_out(registry_.commit());
  if (was_kept && !registry_.failure().empty()) {
    base::log::error("directory", "nothing can be kept", {{"why", registry_.failure()}});
  }
}

void LocalServer::commit_now() {
  loop_.cancel(commit_timer_);
  commit();
}

base::Status LocalServer::keep(const std::string& key, const std::string& value) {
  registry_.stage(key, value);
  commit_now();
  const std::string& why = registry_.failure();
  return why.empty() ? base::Status() : base::Error{why};
}

// A message to a session without a connection is lost; the hole in the count shows it.
void LocalServer::send(const cluster::SessionId& to, const Reply& reply) {
  const auto link = links_.find(to);
  const std::uint64_t number = link == links_.end() ? 0 : ++link->second.sent;
  const auto route = routes_.find(to);
  auto* connection = route == routes_.end() ? nullptr : listener_->find(route->second);
  if (connection != nullptr) push(*connection, encode(reply, number));
}

// Closes the connection of a peer that does not read its messages.
void LocalServer::push(net::Connection& connection, std::string_view frame) {
  if (connection.closing()) return;
  connection.send(std::array{frame});
  if (connection.queued_bytes() > queue_bytes_) connection.close("queue_full");
}

}  // namespace canopy::coordination
