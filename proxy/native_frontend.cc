#include "proxy/native_frontend.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/keyspace/key.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;

// Time between two groups of heartbeats when many are due.
constexpr base::Duration heartbeat_pause = 10ms;

// Identifies the connection; the shard returns it with the answer.
std::string reply_to(const net::Connection& connection) {
  const std::uint64_t id = connection.id();
  return std::string(reinterpret_cast<const char*>(&id), sizeof id);
}

std::uint64_t connection_of(std::string_view reply_to) {
  std::uint64_t id = 0;
  if (reply_to.size() == sizeof id) std::memcpy(&id, reply_to.data(), sizeof id);
  return id;
}

// Null before the handshake has ended.
NativeClient* client_of(const net::Connection& connection) {
  return static_cast<NativeClient*>(connection.attachment());
}

CatchUps::Settings settings_of(const config::Proxy& proxy) {
  const std::size_t quarter = proxy.client_queue_bytes / 4;
  return {.max_served = proxy.max_snapshots,
          .full_bytes = std::min(NativeFrontend::full_bytes, quarter),
          .chunk_bytes = std::min(base::max_chunk_bytes, quarter)};
}

}  // namespace

NativeFrontend::NativeFrontend(const config::Proxy& proxy, Metrics& metrics, Backend& backend)
    : config_(proxy),
      metrics_(metrics),
      backend_(backend),
      catch_up_settings_(settings_of(proxy)),
      streams_(backend.partitions(),
               [&backend](std::string_view subtree) { return backend.lease(subtree); }),
      catch_ups_(backend.partitions(), catch_up_settings_, *this),
      watches_(backend, metrics, streams_, catch_ups_,
               catch_up_settings_.full_bytes + catch_up_settings_.chunk_bytes),
      writes_received_(metrics.writes_received.Add({{"dialect", "native"}})),
      plain_frames_(metrics.frames.Add({{"encoding", "plain"}})),
      compressed_frames_(metrics.frames.Add({{"encoding", "lz4"}})),
      waiting_(metrics.snapshots_waiting.Add({{"dialect", "native"}})) {}

std::vector<Opening> NativeFrontend::openings() {
  return {{.role = Role::updates,
           .type = zmtp::SocketType::router,
           .endpoint = config_.native.value_or(config::Endpoint()),
           .dialect = "native",
           .label = "client",
           .events = this,
           .high_water_bytes = catch_up_settings_.full_bytes,
           .low_water_bytes = catch_up_settings_.full_bytes / 4}};
}

void NativeFrontend::announce(wire::ProxyMember& member,
                              const std::vector<config::Endpoint>& endpoints) const {
  member.native = endpoints.at(0);
}

void NativeFrontend::begin_generation(std::uint32_t generation) {
  streams_.begin(static_cast<std::uint64_t>(first_stamp(generation)), backend_.now());
}

void NativeFrontend::on_ready(net::Connection& connection) {
  auto client = std::make_unique<NativeClient>(connection);
  clients_.emplace(connection.id(), client.get());
  connection.attach(std::move(client));
}

void NativeFrontend::on_closed(net::Connection& connection, std::string_view) {
  NativeClient* const client = client_of(connection);
  if (client == nullptr) return;
  const std::size_t ended = catch_ups_.drop(connection);
  if (ended > 0) count_request("client_gone", static_cast<double>(ended));
  watches_.drop(*client);
  clients_.erase(connection.id());
}

void NativeFrontend::on_drained(net::Connection& connection) {
  connection.resume_reading();
  catch_ups_.drained(connection);
}

void NativeFrontend::on_message(net::Connection& connection,
                                std::span<const std::string_view> parts) {
  NativeClient& client = *client_of(connection);
  if (parts.size() != 1) {
    return refuse(client, {}, wire::Fault::malformed, "a request must be one frame");
  }
  auto request = native::decode_to_proxy(parts[0]);
  if (const auto* refusal = std::get_if<native::Refusal>(&request)) {
    return refuse(client,
                  {.number = refusal->request, .kind = static_cast<native::Kind>(refusal->of)},
                  refusal->fault, refusal->text);
  }
  std::visit([&](auto& body) { on_request(client, body); }, std::get<native::ToProxy>(request));
}

void NativeFrontend::on_request(NativeClient& client, native::Announce& announce) {
  client.id = std::move(announce.client);
  client.name = std::move(announce.name);
  client.software = std::move(announce.software);
  reply(client.connection,
        native::encode(native::Welcome{.request = announce.request, .proxy = config_.name}));
}

void NativeFrontend::on_request(NativeClient& client, const native::Clients& clients) {
  if (!backend_.may_administer(client.connection)) {
    return refuse(client, {clients.request, native::Kind::clients}, wire::Fault::forbidden,
                  "only an admin may list connections");
  }
  for (const std::string& frame : native::encode_clients(clients.request, backend_.clients())) {
    reply(client.connection, frame);
  }
}

void NativeFrontend::on_request(NativeClient& client, const native::Kick& kick) {
  const Asked asked{kick.request, native::Kind::kick};
  if (!backend_.may_administer(client.connection)) {
    return refuse(client, asked, wire::Fault::forbidden, "only an admin may end connections");
  }
  if (!backend_.kick(kick.connection)) {
    return refuse(client, asked, wire::Fault::not_found, "no such connection");
  }
  reply(client.connection, native::encode(native::Kicked{.request = kick.request}));
}

void NativeFrontend::on_request(NativeClient& client, wire::WriteRequest& request) {
  const Asked asked{.number = request.number, .kind = native::Kind::write};
  writes_received_.Increment(static_cast<double>(request.writes.size()));
  if (client.id.empty())
    return refuse(client, asked, wire::Fault::bad_field, "the client has not announced itself");
  if (draining_) {
    return refuse(client, asked, wire::Fault::draining, "the proxy is draining");
  }
  for (const wire::Write& write : request.writes) {
    if (!backend_.may_write(client.connection, write.key)) {
      return refuse(client, asked, wire::Fault::forbidden, "the client may not write this key");
    }
  }
  request.client = client.id;
  const wire::Fault fault =
      backend_.write({.reply_to = reply_to(client.connection), .request = std::move(request)});
  if (fault != wire::Fault::none) refuse(client, asked, fault, wire::name(fault));
}

void NativeFrontend::on_request(NativeClient& client, native::Watch& watch) {
  const Asked asked{.number = watch.request, .kind = native::Kind::watch};
  if (!may_begin(client, asked, watch.subscription.subtree)) return;
  const wire::Fault fault = watches_.open(client, watch);
  if (fault != wire::Fault::none) refuse(client, asked, fault, wire::name(fault));
}

void NativeFrontend::on_request(NativeClient& client, native::Get& get) {
  open(client, {.number = get.request, .kind = native::Kind::get},
       {.kind = CatchUps::Kind::get, .number = get.request, .subtree = std::move(get.key)});
}

void NativeFrontend::on_request(NativeClient& client, native::List& list) {
  open(client, {.number = list.request, .kind = native::Kind::list},
       {.kind = CatchUps::Kind::list,
        .number = list.request,
        .subtree = std::move(list.subtree),
        .limit = list.limit});
}

// Checks common to watches, lists and gets; refuses the request if one fails.
bool NativeFrontend::may_begin(NativeClient& client, Asked asked, const std::string& prefix) {
  if (draining_) {
    refuse(client, asked, wire::Fault::draining, "the proxy is draining");
  } else if (client.watches.contains(asked.number) ||
             catch_ups_.contains(client.connection, asked.number)) {
    refuse(client, asked, wire::Fault::bad_field, "this request number is in use");
  } else if (!backend_.may_read(client.connection, prefix, "native request")) {
    refuse(client, asked, wire::Fault::forbidden, "the client may not read this subtree");
  } else {
    return true;
  }
  return false;
}

void NativeFrontend::open(NativeClient& client, Asked asked, CatchUps::Request request) {
  if (!may_begin(client, asked, request.subtree)) return;
  wire::Fault fault = wire::Fault::too_many_requests;
  if (client.requests < max_requests) {
    request.lease = backend_.lease(request.subtree);
    fault = catch_ups_.open(client.connection, std::move(request), backend_.now());
  }
  if (fault != wire::Fault::none) return refuse(client, asked, fault, wire::name(fault));
  ++client.requests;
}

void NativeFrontend::answer(const wire::Answer& answer) {
  const auto client = clients_.find(connection_of(answer.reply_to));
  if (client == clients_.end()) return;
  reply(client->second->connection,
        answer.fault == wire::Fault::none
            ? native::encode(native::Written{.number = answer.number, .revision = answer.revision})
            : native::encode(native::Refusal{.request = answer.number,
                                             .fault = answer.fault,
                                             .text = answer.text,
                                             .revision = answer.revision,
                                             .of = static_cast<unsigned>(native::Kind::write)}));
}

void NativeFrontend::refuse(NativeClient& client, Asked asked, wire::Fault fault,
                            std::string_view text) {
  if (fault != wire::Fault::forbidden) {  // the guard has counted those
    metrics_.reject(wire::name(fault));
    log_.warn("native", "request refused", {{"fault", wire::name(fault)}, {"why", text}});
  }
  reply(client.connection,
        native::encode(native::Refusal{.request = asked.number,
                                       .fault = fault,
                                       .text = std::string(text),
                                       .of = static_cast<unsigned>(asked.kind)}));
}

// The proxy never drops a reply. It stops reading from a client that does not read its replies.
void NativeFrontend::reply(net::Connection& connection, std::string_view frame) {
  connection.send(std::array<std::string_view, 1>{frame});
  if (connection.queued_bytes() > 2 * config_.client_queue_bytes) connection.pause_reading();
}

void NativeFrontend::on_cut(net::Connection& connection, std::uint64_t number) {
  client_of(connection)->watches.at(number)->on_cut();
}

void NativeFrontend::on_sent(net::Connection& connection, CatchUps::Kind kind, std::uint64_t number,
                             std::vector<Known> has, base::Duration took) {
  NativeClient& client = *client_of(connection);
  if (kind != CatchUps::Kind::get) {
    count_request("sent");
    metrics_.snapshot_duration.Observe(std::chrono::duration<double>(took).count());
  }
  if (kind == CatchUps::Kind::watch) {
    client.watches.at(number)->on_sent(std::move(has));
  } else {
    --client.requests;
  }
}

void NativeFrontend::on_unavailable(net::Connection& connection, CatchUps::Kind kind,
                                    std::uint64_t number) {
  NativeClient& client = *client_of(connection);
  if (kind != CatchUps::Kind::get) count_request("unavailable");
  if (!watches_.close(client, number)) --client.requests;
  refuse(client, {.number = number, .kind = kind}, wire::Fault::partition_unavailable,
         "the partition is not mirrored in time");
}

void NativeFrontend::on_resync(bool changes) {
  metrics_.client_resyncs.Add({{"kind", changes ? "changes" : "full"}}).Increment();
}

void NativeFrontend::count_request(const char* result, double count) {
  metrics_.snapshot_requests.Add({{"dialect", "native"}, {"result", result}}).Increment(count);
}

std::optional<base::Duration> NativeFrontend::serve(base::TimePoint now) {
  std::optional<base::Duration> wake;
  const auto wake_at = [&](std::optional<base::TimePoint> time) {
    if (!time) return;
    const base::Duration delay = std::max(*time - now, base::Duration{0});
    wake = std::min(wake.value_or(delay), delay);
  };
  streams_.flush_latest(now);
  wake_at(streams_.next_due());
  wake_at(streams_.heartbeat(now) ? now + heartbeat_pause : streams_.next_heartbeat());
  if (catch_ups_.serve(now)) wake_at(now);
  wake_at(catch_ups_.next_deadline());
  return wake;
}

void NativeFrontend::drain(base::Duration within) {
  draining_ = true;
  const std::string frame =
      native::encode(native::Move{.within_ms = static_cast<std::uint32_t>(base::in_ms(within))});
  for (const auto& [id, client] : clients_) reply(client->connection, frame);
}

wire::native::ClientInfo NativeFrontend::describe(const net::Connection& connection) const {
  const NativeClient* const client = client_of(connection);
  if (client == nullptr) return {.protocol = "native 2"};
  wire::native::ClientInfo view{
      .name = connection.info().user.empty() ? client->name : connection.info().user,
      .protocol = "native 2",
      .missed = client->dropped,
      .catch_ups = client->catch_ups};
  if (!client->software.empty()) view.protocol += ", " + client->software;
  for (const auto& [number, watch] : client->watches) {
    if (view.subscriptions.size() == native::max_shown_subscriptions) {
      view.subscriptions.emplace_back("…");
      break;
    }
    const native::Subscription& subscription = watch->subscription();
    view.subscriptions.push_back(keyspace::shown(subscription.subtree));
    if (subscription.latest_ms > 0) {
      view.subscriptions.back() += " latest " + std::to_string(subscription.latest_ms) + " ms";
    }
  }
  return view;
}

void NativeFrontend::report() {
  waiting_.Set(static_cast<double>(catch_ups_.size()));
  metrics_.fetch_bytes.Set(static_cast<double>(catch_ups_.known_bytes()));
  metrics_.watch_held_bytes.Set(static_cast<double>(watches_.held_bytes()));
  metrics_.latest_bytes.Set(static_cast<double>(streams_.latest_bytes()));
  metrics_.streams.Set(static_cast<double>(streams_.size()));
  metrics_.conflated.Increment(static_cast<double>(streams_.take_conflated()));
  const Streams::Encoded encoded = streams_.take_encoded();
  plain_frames_.Increment(static_cast<double>(encoded.plain));
  compressed_frames_.Increment(static_cast<double>(encoded.compressed));
}

}  // namespace canopy::proxy
