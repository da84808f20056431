#include "core/coordination/local_server.h"

#include <utility>

namespace canopy::coordination {
namespace {

constexpr base::Duration tick_period = std::chrono::milliseconds(100);
// A tick this late means that this process slept, not that its sessions were silent.
constexpr base::Duration stall = std::chrono::milliseconds(500);
constexpr int messages_per_turn = 1024;

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

LocalServer::LocalServer(net::Context& context, net::Loop& loop, base::Duration lease, int queue,
                         const Security* security, cluster::DirectoryRecord record)
    : loop_(loop),
      authority_(security == nullptr ? nullptr : &security->authority),
      registry_(lease, std::move(record), loop.now()),
      socket_(context, net::SocketType::router,
              net::listening({.send_hwm = queue,
                              .max_frame_bytes = max_message_bytes,
                              .router_mandatory = true,
                              .router_handover = true},
                             security == nullptr ? nullptr : &security->keys)),
      monitor_(context, socket_, "directory"),
      last_tick_(loop.now()) {
  loop_.on_readable(socket_, [this] { receive(); });
  loop_.on_readable(monitor_.socket(), [this] {
    monitor_.drain(loop_.now());
    monitor_.take_ended();
  });
  timer_ = loop_.every(tick_period, [this] { tick(); });
}

LocalServer::~LocalServer() {
  loop_.cancel(timer_);
  loop_.remove(socket_);
  loop_.remove(monitor_.socket());
}

base::Status LocalServer::bind(const std::string& endpoint, std::chrono::milliseconds patience) {
  return socket_.bind(endpoint, patience);
}

void LocalServer::receive() {
  for (int i = 0; i < messages_per_turn && socket_.receive(message_); ++i) {
    if (message_.too_large()) {
      monitor_.cut(message_, "frame_too_large");
      continue;
    }
    const cluster::SessionId from(message_[0]);
    if (message_.size() != 2) {
      reject(from, "frame_count", "not one frame");
      continue;
    }
    if (wire::native::is_native(message_[1])) {
      serve_client(from, message_[1]);
      continue;
    }
    const auto request = decode_request(message_[1]);
    if (!is_own_process()) {
      if (request) {
        forbid("registration");
      } else {
        serve_client(from, message_[1]);  // who is told so in his words
      }
    } else if (request) {
      handle(from, *request);
    } else if (!links_.contains(from)) {
      serve_client(from, message_[1]);  // no process: a client, who is told so in his words
    } else {
      reject(from, "malformed", request.error());
    }
  }
}

// A client has no session: whatever it asks is answered, and forgotten.
void LocalServer::serve_client(const std::string& peer, std::string_view frame) {
  namespace native = wire::native;
  auto decoded = native::decode_to_broker(frame);
  if (auto* refusal = std::get_if<native::Refusal>(&decoded)) return reply(peer, *refusal);
  std::visit(
      [&](const auto& request) {
        if (!may(request)) {
          log_forbidden("drain or reload");
          return reply(peer, native::Refusal{.request = request.request,
                                             .fault = wire::Fault::forbidden,
                                             .text = "this key is not granted that"});
        }
        if constexpr (std::is_same_v<decltype(request), const native::Reload&>) {
          reload(peer, request);
        } else {
          reply(peer, answer(request));
        }
      },
      std::get<native::ToBroker>(decoded));
}

void LocalServer::reply(const std::string& peer, const wire::native::FromBroker& answer) {
  if (const auto* refusal = std::get_if<wire::native::Refusal>(&answer); refusal && rejected_) {
    rejected_(wire::name(refusal->fault));
  }
  std::visit(
      [&](const auto& message) {
        socket_.send({peer, wire::native::encode(message)});
      },
      answer);
}

bool LocalServer::is_own_process() const {
  return authority_ == nullptr || authority_->is_own_process(message_.sender());
}

bool LocalServer::may(const wire::native::Directory&) const {
  return is_own_process() || authority_->is_client(message_.sender());
}

template <typename AdminRequest>
bool LocalServer::may(const AdminRequest&) const {
  return authority_ == nullptr || authority_->is_admin(message_.sender());
}

// Not answered: it is none of what clients say, and its sender no process that waits.
void LocalServer::forbid(std::string_view what) {
  if (rejected_) rejected_(wire::name(wire::Fault::forbidden));
  log_forbidden(what);
}

void LocalServer::log_forbidden(std::string_view what) {
  forbidden_.warn("security", "forbidden", {{"client", message_.sender().name}, {"what", what}});
}

wire::native::FromBroker LocalServer::answer(const wire::native::Directory& request) const {
  wire::native::Members members{.request = request.request};
  const auto& entries = registry_.entries();
  for (auto at = entries.lower_bound(request.prefix);
       at != entries.end() && at->first.starts_with(request.prefix); ++at) {
    members.members.emplace_back(at->first, at->second.value);
  }
  for (auto at = expected_.lower_bound(request.prefix);
       at != expected_.end() && at->first.starts_with(request.prefix); ++at) {
    if (!entries.contains(at->first)) members.members.emplace_back(*at);
  }
  return members;
}

wire::native::FromBroker LocalServer::answer(const wire::native::Drain& request) const {
  if (drainer_ && drainer_(request.name)) {
    return wire::native::Drained{.request = request.request};
  }
  return wire::native::Refusal{.request = request.request,
                               .fault = wire::Fault::not_found,
                               .text = "no running proxy of this broker is called " + request.name};
}

void LocalServer::reload(const std::string& peer, const wire::native::Reload& request) {
  namespace native = wire::native;
  const auto done = [this, peer, number = request.request](Reload outcome) {
    if (outcome.fault == wire::Fault::none) {
      return reply(peer, native::Reloaded{number, std::move(outcome.settings)});
    }
    reply(peer, native::Refusal{
                    .request = number, .fault = outcome.fault, .text = std::move(outcome.text)});
  };
  if (reloader_) return reloader_(done);
  done({.fault = wire::Fault::configuration, .text = "this broker has no file to reload"});
}

void LocalServer::reject(const cluster::SessionId& from, std::string_view reason,
                         const std::string& why) {
  strange_.warn("directory", "message refused", {{"reason", reason}, {"why", why}});
  if (rejected_) rejected_(reason);
  carry_out({.letters = {{from, cluster::Failed{cluster::Fault::malformed, why}}}, .changes = {}});
}

void LocalServer::tick() {
  const base::TimePoint now = loop_.now();
  if (now - std::exchange(last_tick_, now) > stall) registry_.renew_leases(now);
  carry_out(registry_.expire(now));
}

void LocalServer::hello(const cluster::SessionId& from, const Hello& hello) {
  const std::uint32_t floor = registry_.floor();
  const cluster::Effects effects = registry_.hello(from, hello, loop_.now());
  if (registry_.floor() != floor) {
    base::log::warn("directory", "a record of generations was lost; goes on above it",
                    {{"name", hello.name}, {"knows", registry_.floor()}});
  }
  carry_out(effects);
  if (registry_.knows(from)) {
    links_[from] = {.received = 1, .sent = 0};
    send(from, Welcome{static_cast<std::uint64_t>(registry_.lease().count()),
                       registry_.generation(from), registry_.record()});
    return;
  }
  for (const cluster::Letter& letter : effects.letters) {
    const auto* failed = std::get_if<cluster::Failed>(&letter.answer);
    if (failed == nullptr || letter.to != from) continue;
    refused_.warn("directory", "process refused",
                  {{"name", hello.name},
                   {"why", cluster::to_text(failed->fault)},
                   {"subject", failed->subject}});
    if (rejected_) rejected_(failed->fault == cluster::Fault::name_taken ? "name_taken" : "hello");
  }
}

void LocalServer::handle(const cluster::SessionId& from, const Numbered<Request>& request) {
  if (const auto* said = std::get_if<Hello>(&request.body)) return hello(from, *said);
  // A hole in the count is answered like a lost session: either way, all is to be said again.
  const auto link = links_.find(from);
  if (link != links_.end() && request.number != ++link->second.received) {
    link->second.received = 0;  // nothing counts before the next hello
    carry_out(
        {.letters = {{from, cluster::Failed{cluster::Fault::unknown_session, {}}}}, .changes = {}});
    return;
  }
  carry_out(apply(from, request.body));
  if (std::holds_alternative<Ping>(request.body) && registry_.knows(from)) send(from, Pong{});
}

cluster::Effects LocalServer::apply(const cluster::SessionId& from, const Request& request) {
  const base::TimePoint now = loop_.now();
  return std::visit(
      Overloaded{
          [&](const Hello&) { return cluster::Effects{}; },  // handled before
          [&](const Ping&) { return registry_.ping(from, now); },
          [&](const Announce& m) { return registry_.announce(from, m.key, m.value, now); },
          [&](const Campaign& m) {
            return registry_.campaign(from, m.partition, m.least_epoch, m.held_epoch, now);
          },
          [&](const CompareAndSet& m) {
            return registry_.compare_and_set(from, m.request, m.key, m.value, m.expected, now);
          },
          [&](const Watch& m) { return registry_.watch(from, m.prefix, now); },
          [&](const Resign&) { return registry_.resign(from, now); },
      },
      request);
}

// Sends what is to be sent, which may end sessions, which may have effects in turn.
void LocalServer::carry_out(const cluster::Effects& effects) {
  std::vector<cluster::SessionId> deaf;
  for (const cluster::Letter& letter : effects.letters) {
    const Reply reply =
        std::visit([](const auto& answer) -> Reply { return answer; }, letter.answer);
    if (send(letter.to, reply) == net::SendResult::would_block) deaf.push_back(letter.to);
  }
  for (const cluster::Change& change : effects.changes) {
    if (const auto* ended = std::get_if<cluster::SessionEnded>(&change)) {
      links_.erase(ended->session);
    }
    if (observer_) observer_(change);
  }
  for (const cluster::SessionId& session : deaf) carry_out(registry_.drop(session));
}

net::SendResult LocalServer::send(const cluster::SessionId& to, const Reply& reply) {
  const auto link = links_.find(to);
  const std::uint64_t number = link == links_.end() ? 0 : ++link->second.sent;
  return socket_.send({to, encode(reply, number)});
}

}  // namespace canopy::coordination
