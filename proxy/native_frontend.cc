#include "proxy/native_frontend.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/keyspace/key.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;

constexpr int messages_per_turn = 1000;
// How soon a client whose queue is full, a mirror that lags or a client's credit is looked at
// again.
constexpr base::Duration retry = 2ms;
// Between two lots of heartbeats when many are due.
constexpr base::Duration heartbeat_pause = 10ms;
// Of replies that wait. A reply takes some 100 bytes with what keeping it costs, so that is room
// for those to all that a client may have under way with some forty partitions.
constexpr net::OutboxLimits reply_limits{.peer_bytes = std::size_t{4} << 20,
                                         .total_bytes = std::size_t{64} << 20};
// Roles of the native sockets, as the doors know them.
constexpr Role requests = Role::snapshot;
constexpr Role streams = Role::updates;

net::SocketOptions stream_options(const config::Proxy& proxy, bool guarded) {
  net::SocketOptions options;
  options.send_hwm = proxy.stream_hwm;
  options.send_buffer = proxy.stream_send_buffer;
  options.xpub_verbose = true;  // each client's coming and going is seen, not the first and last
  options.xpub_manual = guarded;
  return options;
}

// A connection as the shard hands it back with its answer; empty: nobody.
std::string reply_to(PeerId peer) {
  if (peer == 0) return {};
  return std::string(reinterpret_cast<const char*>(&peer), sizeof peer);
}

PeerId peer_of(std::string_view reply_to) {
  PeerId peer = 0;
  if (reply_to.size() == sizeof peer) std::memcpy(&peer, reply_to.data(), sizeof peer);
  return peer;
}

}  // namespace

NativeFrontend::NativeFrontend(const config::Endpoint& first, const config::Proxy& proxy,
                               net::Context& context, net::Loop& loop, Metrics& metrics,
                               Guard& guard, const Upstream& upstream, Backend& backend)
    : loop_(loop),
      metrics_(metrics),
      guard_(guard),
      upstream_(upstream),
      backend_(backend),
      streams_(upstream),
      fetches_(upstream, streams_, proxy.max_snapshots),
      replies_(reply_limits,
               [this](PeerId peer, std::string_view frame) {
                 switch (deliver(peer, std::string(frame))) {
                   case Fetches::Delivery::sent: return net::SendResult::sent;
                   case Fetches::Delivery::blocked: return net::SendResult::would_block;
                   case Fetches::Delivery::gone: break;
                 }
                 return net::SendResult::no_route;
               }),
      send_([this](Sending sending) { return send(std::move(sending)); }),
      writes_received_(metrics.writes_received.Add({{"dialect", "native"}})),
      delivered_(metrics.delivered.Add({{"dialect", "native"}})),
      delivered_bytes_(metrics.delivered_bytes.Add({{"dialect", "native"}})),
      frames_(metrics.frames.Add({{"encoding", "plain"}})),
      compressed_(metrics.frames.Add({{"encoding", "lz4"}})),
      lost_answers_(metrics.lost_answers),
      queued_answers_(metrics.queued_answers),
      waiting_(metrics.snapshots_waiting.Add({{"dialect", "native"}})) {
  const auto listen = [&](Role role, net::SocketType type, const net::SocketOptions& options,
                          int offset, const char* label) {
    listeners_[static_cast<std::size_t>(role)] = std::make_unique<Listener>(
        context, type, options, guard.keys(), config::next_port(first, offset),
        std::string("native-") + label,
        metrics.connections.Add({{"dialect", "native"}, {"role", label}}));
    loop_.on_readable(at(role).monitor.socket(), [this, role] { read_monitor(role); });
  };
  listen(requests, net::SocketType::router, {.router_mandatory = true}, 0, "requests");
  listen(streams, net::SocketType::xpub, stream_options(proxy, guard.on()), 1, "streams");
  topics_ = topics_of(
      at(streams), guard.on(),
      {.look = [this] { read_monitor(streams); },
       .begin = [this](std::string_view topic,
                       const net::Message& message) { return begin(topic, message); },
       .end = [this](std::string_view topic) { streams_.remove(*native::parse_topic(topic)); },
       .reject = [this](std::string_view reason) { metrics_.reject(reason); }});
  // Subscriptions are read before requests: a fetch finds the stream it joins on to.
  loop_.on_readable(at(streams).socket, [this] { topics_->read(message_, messages_per_turn); });
  loop_.on_readable(at(requests).socket, [this] { read_requests(); });
}

void NativeFrontend::begin_generation(std::uint32_t generation) {
  streams_.begin(static_cast<std::uint64_t>(first_stamp(generation)), loop_.now(), send_);
}

void NativeFrontend::read_monitor(Role role) {
  if (!count_connections(role, loop_.now())) return;
  const auto ended = at(role).monitor.take_ended();
  if (role == streams) {
    topics_->forget(ended);
  } else {
    at(role).peers.forget(ended);
  }
  backend_.connections_changed();
}

// Whatever a connection asked for ends with it. Not done by read_monitor(), which is called while
// fetches are served.
void NativeFrontend::forget_ended() {
  for (const PeerId peer : at(requests).peers.take_ended()) {
    replies_.drop(peer);
    const std::size_t ended = fetches_.drop(peer);
    if (ended == 0) continue;
    metrics_.snapshot_requests.Add({{"dialect", "native"}, {"result", "client_gone"}})
        .Increment(static_cast<double>(ended));
  }
}

void NativeFrontend::look() {
  read_monitor(requests);
  read_monitor(streams);
}

bool NativeFrontend::begin(std::string_view topic, const net::Message& message) {
  const auto subscription = native::parse_topic(topic);
  if (!subscription) {
    metrics_.reject("bad_topic");
    log_.warn("native", "subscription refused", {{"why", subscription.error()}});
    return false;
  }
  if (!guard_.may_read(message, subscription->subtree, "native subscription")) return false;
  if (!streams_.add(*subscription, backend_.lease(subscription->subtree))) {
    metrics_.reject("too_many_streams");
    return false;
  }
  return true;
}

void NativeFrontend::read_requests() {
  for (int i = 0; i < messages_per_turn && receive(requests, message_); ++i) {
    if (!acceptable(requests, message_)) continue;
    const PeerId peer = requester(requests, message_);
    if (message_.size() != 2) {
      refuse(peer, 0, wire::Fault::malformed, "a request is one frame");
      continue;
    }
    auto request = native::decode_to_proxy(message_[1]);
    if (const auto* refusal = std::get_if<native::Refusal>(&request)) {
      refuse(peer, refusal->request, refusal->fault, refusal->text);
      continue;
    }
    std::visit([&](auto& body) { take(peer, std::move(body)); },
               std::get<native::ToProxy>(request));
  }
  forget_ended();
}

void NativeFrontend::take(PeerId peer, wire::WriteRequest request) {
  const std::uint64_t number = request.number;
  writes_received_.Increment(static_cast<double>(request.writes.size()));
  if (draining_) return refuse(peer, number, wire::Fault::draining, "this proxy is going away");
  for (const wire::Write& write : request.writes) {
    if (!guard_.may_write(message_, write.key)) {
      return refuse(peer, number, wire::Fault::forbidden, "this key is not granted that");
    }
  }
  const wire::Fault fault =
      backend_.write({.reply_to = reply_to(peer), .request = std::move(request)});
  if (fault != wire::Fault::none) refuse(peer, number, fault, wire::name(fault));
}

void NativeFrontend::take(PeerId peer, native::Fetch fetch) {
  const std::uint64_t number = fetch.request;
  if (peer == 0) return;
  if (draining_) return refuse(peer, number, wire::Fault::draining, "this proxy is going away");
  if (!guard_.may_read(message_, fetch.subtree, "native fetch")) {
    return refuse(peer, number, wire::Fault::forbidden, "this key is not granted that");
  }
  if (!fetch.topic.empty()) {
    const auto subscription = native::parse_topic(fetch.topic);
    if (!subscription || subscription->subtree != fetch.subtree) {
      return refuse(peer, number, wire::Fault::bad_subtree, "the topic is of another subtree");
    }
    if (!streams_.cut(*subscription)) {
      return refuse(peer, number, wire::Fault::not_subscribed, "the subscription is not here yet");
    }
    if (fetch.gap) count_missed(*subscription, *fetch.gap);
  }
  MirrorLease lease = backend_.lease(fetch.subtree);
  const wire::Fault fault = fetches_.open(peer, std::move(fetch), loop_.now(), std::move(lease));
  if (fault != wire::Fault::none) refuse(peer, number, fault, wire::name(fault));
}

void NativeFrontend::take(PeerId peer, const native::Credit& credit) {
  fetches_.credit(peer, credit);
}

void NativeFrontend::count_missed(const native::Subscription& subscription,
                                  const native::Gap& gap) {
  for (const auto& [shard, updates] : streams_.missed(subscription, gap)) {
    metrics_.hwm_dropped.Add({{"shard", upstream_.shard_name(shard)}, {"hop", "proxy_to_client"}})
        .Increment(static_cast<double>(updates));
    missed_ += updates;
  }
  metrics_.client_gaps.Increment();
}

void NativeFrontend::answer(const wire::Answer& answer) {
  const std::string frame =
      answer.fault == wire::Fault::none
          ? native::encode(native::Written{.request = answer.number, .revision = answer.revision})
          : native::encode(native::Refusal{.request = answer.number,
                                           .fault = answer.fault,
                                           .text = answer.text,
                                           .revision = answer.revision});
  reply(peer_of(answer.reply_to), frame);
}

// At once, or when the client's queue has room. What a client that is gone does not get it asks for
// again, and is answered alike.
void NativeFrontend::reply(PeerId peer, std::string frame) {
  if (replies_.post(peer, std::move(frame)) > 0) lost_answers_.Increment();
}

void NativeFrontend::refuse(PeerId peer, std::uint64_t request, wire::Fault fault,
                            std::string_view text) {
  if (fault != wire::Fault::forbidden) {  // which the guard has counted
    metrics_.reject(wire::name(fault));
    log_.warn("native", "request refused", {{"fault", wire::name(fault)}, {"why", text}});
  }
  reply(peer, native::encode(
                  native::Refusal{.request = request, .fault = fault, .text = std::string(text)}));
}

Fetches::Delivery NativeFrontend::deliver(PeerId peer, std::string frame) {
  switch (begin_reply(requests, peer)) {
    case net::SendResult::sent: break;
    case net::SendResult::would_block: return Fetches::Delivery::blocked;
    case net::SendResult::no_route: return Fetches::Delivery::gone;
  }
  at(requests).socket.send_frame(std::move(frame), false);
  return Fetches::Delivery::sent;
}

bool NativeFrontend::send(Sending sending) {
  net::Socket& socket = at(streams).socket;
  if (std::exchange(nodrop_, sending.may_wait) != sending.may_wait) {
    socket.set_xpub_nodrop(sending.may_wait);
  }
  const auto bytes = static_cast<double>(sending.frame.size());
  // Who has no room misses what cannot wait, and will see the hole; the others never wait.
  if (socket.send_frame(std::move(sending.frame), false) != net::SendResult::sent) return false;
  const auto subscribers = static_cast<double>(sending.subscribers);
  delivered_.Increment(subscribers * static_cast<double>(sending.updates));
  delivered_bytes_.Increment(subscribers * bytes);
  (sending.compressed ? compressed_ : frames_).Increment();
  return true;
}

void NativeFrontend::publish(std::span<const Stamped>) { streams_.flush(loop_.now(), send_); }

std::optional<base::Duration> NativeFrontend::serve(bool) {
  const base::TimePoint now = loop_.now();
  std::optional<base::Duration> wake;
  forget_ended();
  settle(requests);
  const auto wake_in = [&wake](base::Duration delay) {
    wake = std::min(wake.value_or(delay), delay);
  };
  streams_.flush_latest(now, send_);
  if (const auto due = streams_.next_due()) wake_in(std::max(*due - now, base::Duration{0}));
  if (streams_.heartbeat(now, send_)) wake_in(heartbeat_pause);
  if (streams_.pending()) wake_in(retry);
  lost_answers_.Increment(static_cast<double>(replies_.flush(now)));
  if (!replies_.empty()) wake_in(replies_.pause());
  const Fetches::Sink sink{
      .send = [this](PeerId peer, std::string frame) { return deliver(peer, std::move(frame)); },
      .refuse = [this](PeerId peer, std::uint64_t request, wire::Fault fault,
                       std::string_view why) { refuse(peer, request, fault, why); },
      .finished =
          [this](const char* result, base::Duration took) {
            metrics_.snapshot_requests.Add({{"dialect", "native"}, {"result", result}}).Increment();
            metrics_.snapshot_duration.Observe(std::chrono::duration<double>(took).count());
          },
      .resynced =
          [this](bool changes) {
            metrics_.client_resyncs.Add({{"kind", changes ? "changes" : "full"}}).Increment();
          }};
  if (fetches_.serve(now, sink)) return base::Duration{0};
  if (fetches_.size() > 0) wake_in(retry);
  return wake;
}

std::size_t NativeFrontend::clients() const {
  return std::max(connections(requests), connections(streams));
}

void NativeFrontend::second() {
  metrics_.reject("routing_id_in_use", static_cast<double>(at(requests).peers.cut_unheard(
                                           at(requests).monitor, loop_.now())));
}

void NativeFrontend::announce(coordination::ProxyMember& member,
                              const std::string& advertise) const {
  member.native = coordination::Pair{.requests = advertised(requests, advertise),
                                     .streams = advertised(streams, advertise)};
}

void NativeFrontend::report() {
  waiting_.Set(static_cast<double>(fetches_.size()));
  metrics_.fetch_bytes.Set(static_cast<double>(fetches_.bytes()));
  metrics_.latest_bytes.Set(static_cast<double>(streams_.latest_bytes()));
  metrics_.streams.Set(static_cast<double>(streams_.size()));
  queued_answers_.Set(static_cast<double>(replies_.bytes()));
  metrics_.conflated.Increment(static_cast<double>(streams_.take_conflated()));
}

void NativeFrontend::drain(base::Duration within) {
  draining_ = true;
  streams_.flush(loop_.now(), send_);
  streams_.move(static_cast<std::uint32_t>(
                    std::chrono::duration_cast<std::chrono::milliseconds>(within).count()),
                send_);
}

}  // namespace canopy::proxy
