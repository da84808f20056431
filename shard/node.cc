#include "shard/node.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/access/authority.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/config/capacity.h"
#include "core/config/exposure.h"
#include "core/coordination/coordinators.h"
#include "core/metrics/descriptors.h"
#include "core/net/curve_server.h"
#include "core/wire/member.h"

namespace canopy::shard {
namespace {

using namespace std::chrono_literals;
namespace log = base::log;
using wire::Fault;

constexpr auto bind_timeout = 5s;  // an ending process may still hold the port
// Read from one proxy before its turn is committed; further bytes wait in the kernel's buffers and
// at the proxy.
constexpr std::size_t read_bytes_per_turn = std::size_t{4} << 20;
constexpr std::size_t write_bytes_per_turn = std::size_t{16} << 20;
// A proxy gets chunks of syncs while its queue is shorter than this: enough for one turn, which
// takes long where disks are slow.
constexpr std::size_t high_water_bytes = std::size_t{16} << 20;
constexpr std::size_t low_water_bytes = std::size_t{4} << 20;
// With this many queued bytes, which are answers, the shard stops reading from the proxy.
constexpr std::size_t unread_bytes = std::size_t{32} << 20;
constexpr base::Duration tick_period = 200ms;
constexpr base::Duration report_period = 1s;

}  // namespace

base::Result<std::unique_ptr<Node>> Node::start(const config::Cluster& cluster,
                                                const config::Shard& shard, Holdings holdings,
                                                net::Loop& loop) {
  const std::uint64_t needed = config::descriptors_of(shard, cluster);
  if (metrics::max_fds() < needed) {
    return base::Error{"needs " + std::to_string(needed) + " descriptors, but RLIMIT_NOFILE is " +
                       std::to_string(metrics::max_fds())};
  }
  std::unique_ptr<Node> node(new Node(cluster, shard, std::move(holdings), loop));
  if (auto status = node->open(cluster); !status) return base::Error{status.error()};
  return node;
}

Node::Node(const config::Cluster& cluster, const config::Shard& shard, Holdings holdings,
           net::Loop& loop)
    : config_(shard),
      times_(cluster.coordination),
      file_read_{.fingerprint = cluster.fingerprint},
      directory_(std::move(holdings.directory)),
      lock_(std::move(holdings.lock)),
      loop_(loop),
      started_(loop.now()),
      metrics_(shard.name),
      server_(loop),
      closings_([this, secured = cluster.security.has_value()](const net::Closing& closing) {
        metrics_.registry.count_closed(closing.closed);
        if (secured) metrics_.registry.refuse_handshakes(closing.refused);
      }),
      links_(server_, cluster.keys(), *this),
      coordinator_(coordination::make_coordinator(cluster, loop, shard.name, holdings.identity)),
      store_(holdings.store),
      store_trouble_(holdings.trouble) {
  if (holdings.storage != nullptr) open_store(std::move(holdings.storage));
  for (const config::Partition& partition : cluster.partitions) {
    map_.add(partition.subtree);
    replicas_.push_back(std::make_unique<Replica>(partition));
    keep(*replicas_.back(), std::ranges::count(partition.on, shard.name) > 0);
  }
}

Node::~Node() = default;

base::Status Node::open(const config::Cluster& cluster) {
  for (const std::string& line : config::exposure(
           cluster.security.has_value(), {config_.requests, config_.updates}, config_.http)) {
    log::warn("security", line);
  }
  if (auto status = listen(cluster); !status) return status;
  auto http = metrics::HttpServer::start(config_.http, metrics_.registry, 10s, bind_timeout);
  if (!http) return base::Error{http.error()};
  http_ = std::move(*http);

  loop_.every(tick_period, [this] { tick(); });
  loop_.every(report_period, [this] {
    report();
    announce_vitals();
  });
  loop_.on_turn_end([this] { end_turn(); });
  follow_directory();
  announce();
  report();
  return {};
}

base::Status Node::listen(const config::Cluster& cluster) {
  if (cluster.security) {  // only the cluster's own processes may connect to a shard
    const access::Authority authority(cluster.security->server_key.public_key, {});
    curve_ =
        net::curve_server(cluster.security->server_key, loop_,
                          [authority](std::string_view key) { return authority.name_of(key); });
  }
  const zmtp::CurveServer* curve = curve_ ? &*curve_ : nullptr;
  auto requests = net::parse_listen_address(config_.requests);
  if (!requests) return base::Error{requests.error()};
  auto updates = net::parse_listen_address(config_.updates);
  if (!updates) return base::Error{updates.error()};
  requests_ = std::make_unique<net::Listener>(
      server_,
      net::ListenerSettings{
          .address = std::move(*requests),
          .connection = {.peer = {.type = zmtp::SocketType::router,
                                  .limits = {.frame_bytes = base::max_link_frame_bytes,
                                             .message_bytes = base::max_link_frame_bytes},
                                  .curve = curve},
                         .high_water_bytes = high_water_bytes,
                         .low_water_bytes = low_water_bytes,
                         .read_bytes_per_turn = read_bytes_per_turn,
                         .write_bytes_per_turn = write_bytes_per_turn},
          .closings = &closings_,
          .name = "requests"},
      static_cast<net::ConnectionEvents&>(*this));
  updates_ = std::make_unique<Updates>(
      server_,
      Updates::Settings{.address = std::move(*updates),
                        .curve = curve,
                        .queue_bytes = config_.updates_queue_bytes,
                        .send_buffer_bytes = config_.updates_send_buffer < 0
                                                 ? 0
                                                 : std::max(config_.updates_send_buffer, 1)},
      closings_);
  if (auto status = requests_->open(bind_timeout); !status) return status;
  return updates_->open(bind_timeout);
}

void Node::on_message(net::Connection& connection, std::span<const std::string_view> parts) {
  if (connection.closing()) return;
  turn_ = loop_.now();
  if (parts.size() == 1) {
    if (const auto of_replica = wire::decode_to_leader(parts[0])) {
      return on_follower_message(connection, *of_replica);
    }
  }
  auto decoded = parts.size() == 1 ? wire::decode_to_shard(parts[0])
                                   : base::Result<wire::ToShard>(base::Error{"expects one frame"});
  if (!decoded) {
    metrics_.reject("malformed");
    malformed_log_.warn("shard", "malformed message refused", {{"why", decoded.error()}});
    return;
  }
  std::visit([&](auto& message) { on_request(connection.id(), std::move(message)); }, *decoded);
}

void Node::on_closed(net::Connection& connection, std::string_view) {
  sessions_.close(connection.id());
  links_.on_closed(connection);
}

// False when the proxy has disconnected.
bool Node::send(ProxyId proxy, std::string_view frame) {
  net::Connection* connection = requests_->find(proxy);
  if (connection == nullptr || connection->closing()) return false;
  connection->send(std::array{frame});
  if (connection->queued_bytes() >= unread_bytes) connection->pause_reading();
  return true;
}

bool Node::has_room(ProxyId proxy) const {
  const net::Connection* connection = requests_->find(proxy);
  return connection != nullptr && connection->queued_bytes() < high_water_bytes;
}

// Starts another turn after this one.
void Node::wake() {
  if (std::exchange(wake_pending_, true)) return;
  loop_.after(0ms, [this] { wake_pending_ = false; });
}

void Node::on_request(ProxyId proxy, wire::Writes writes) {
  for (wire::RoutedRequest& routed : writes.requests) on_write(proxy, std::move(routed));
}

void Node::on_write(ProxyId proxy, wire::RoutedRequest routed) {
  const std::vector<wire::Write>& writes = routed.request.writes;
  const auto count = static_cast<double>(writes.size());
  metrics_.received.Increment(count);
  if (writes.empty()) return refuse(proxy, routed, Fault::malformed);
  const std::size_t index = map_.owner(writes.front().key);
  const auto elsewhere = [&](const wire::Write& write) { return map_.owner(write.key) != index; };
  if (std::ranges::any_of(writes, elsewhere)) {
    return refuse(proxy, routed, Fault::several_partitions);
  }
  if (index == map_.size()) return refuse(proxy, routed, Fault::no_partition);
  Replica& replica = *replicas_[index];
  if (replica.hosted == nullptr) return refuse(proxy, routed, Fault::partition_unavailable);
  if (replica.on_disk() && storage_->full()) return refuse(proxy, routed, Fault::busy);
  const auto staged = replica.hosted->on_request(proxy, std::move(routed), turn_);
  if (staged.repeated) {
    metrics_.repeated.Increment(count);
  } else if (staged.fault != Fault::none) {
    metrics_.reject(std::string(wire::name(staged.fault)));
  }
}

void Node::refuse(ProxyId proxy, wire::RoutedRequest& routed, Fault fault) {
  metrics_.reject(std::string(wire::name(fault)));
  replies_.add(Reply::to(proxy, routed, {fault}));
}

void Node::on_request(ProxyId proxy, const wire::Sync& sync) {
  const std::size_t index = map_.find(sync.partition);
  if (index == map_.size()) {
    return refuse(proxy, sync, "not a partition of this shard");
  }
  const Replica& replica = *replicas_[index];
  if (replica.hosted == nullptr) {
    return refuse(proxy, sync, replica.kept ? replica.state() : "not kept by this shard");
  }
  if (!replica.hosted->serves(turn_)) {
    return refuse(proxy, sync, replica.hosted->state(turn_));
  }
  if (!sessions_.open(proxy, sync, replica.hosted->replica(), turn_)) {
    refuse(proxy, sync, "too many syncs at once");
  }
}

void Node::on_request(ProxyId proxy, const wire::Credit& credit) {
  sessions_.credit(proxy, credit);
}

void Node::refuse(ProxyId proxy, const wire::Sync& sync, const std::string& why) {
  metrics_.syncs_refused.Increment();
  send(proxy, wire::encode(
                  wire::Refused{.request = sync.request, .partition = sync.partition, .why = why}));
}

// Syncs come before proposals: a turn uses the credit that it has received.
void Node::end_turn() {
  if (std::exchange(changed_, false)) {
    announce();
    report();
  }
  serve_syncs();
  const base::TimePoint began = loop_.now();
  for (Replica* replica : kept_) {
    if (replica->hosted != nullptr) replica->hosted->end_turn(began);
  }
  serve_followers();
  last_turn_ = loop_.now() - began;
  count_commits();
  send_replies();
  host_split_off();
}

void Node::count_commits() {
  for (Replica* replica : kept_) {
    if (replica->hosted == nullptr) continue;
    const auto commits = replica->hosted->take_commits();
    if (commits.updates == 0) continue;
    metrics_.commit_latency.Observe(std::chrono::duration<double>(commits.took).count());
    replica->metrics->committed.Increment(static_cast<double>(commits.updates));
  }
}

// Replies to a proxy that has disconnected are dropped: its clients send the requests again.
void Node::send_replies() {
  for (const Replies::Message& message : replies_.take_messages()) {
    if (send(message.proxy, wire::encode(message.answers))) continue;
    metrics_.answers_dropped.Increment(static_cast<double>(message.answers.answers.size()));
  }
}

void Node::publish(Hosted&, const wire::Batch& batch) {
  if (!batch.updates.empty()) {
    metrics_.batch_updates.Observe(static_cast<double>(batch.updates.size()));
  }
  updates_->publish(wire::encode(batch));
}

void Node::serve_syncs() {
  const auto served = [this](const std::string& subtree) -> const cluster::Replica* {
    const Replica* replica = find(subtree);
    return replica != nullptr && replica->hosted->serves(loop_.now()) ? &replica->hosted->replica()
                                                                      : nullptr;
  };
  const auto room = [this](ProxyId proxy) { return has_room(proxy); };
  for (std::size_t left = SyncSessions::chunks_per_turn(last_turn_); left > 0; --left) {
    const auto step = sessions_.next(served, room, loop_.now());
    if (!step) return;
    send(step->proxy, wire::encode(step->chunk));
    if (!step->finished) continue;
    const bool snapshot = step->finished->kind == wire::Chunk::Kind::snapshot;
    (snapshot ? metrics_.snapshots_sent : metrics_.replays_sent).Increment();
    if (snapshot) {
      metrics_.snapshot_duration.Observe(
          std::chrono::duration<double>(step->finished->took).count());
    }
  }
  if (sessions_.waiting(room)) wake();
}

void Node::tick() {
  const base::TimePoint now = loop_.now();
  sessions_.drop_idle([this](ProxyId proxy) { return has_room(proxy); }, now);
  for_each_hosted([&](Hosted& hosted) {
    tell_coordinator_state(hosted);
    hosted.tick(now);
  });
  for (Replica* replica : std::vector(kept_)) {
    if (replica->hosted != nullptr && replica->hosted->replica().dispensable()) drop_copy(*replica);
  }
  create_split_off();
  for (std::size_t index = 0; index < replicas_.size(); ++index) {
    Replica& replica = *replicas_[index];
    if (!replica.configured && !replica.opened) place(replica);
  }
}

// No setting of a shard can change while it runs.
void Node::reload(config::Start& running) {
  const auto nothing = [](const config::Cluster&) { return base::Status(); };
  const auto changed = config::reload(
      running, [](const config::Security&) {}, nothing);
  metrics_.registry.count_reload(changed.ok());
  file_read_ = running.read;
  announce_vitals();
}

void Node::drain() {
  coordinator_->resign();
  storage_.reset();  // writes submitted operations to disk
}

}  // namespace canopy::shard
