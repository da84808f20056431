#include "shard/node.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/access/authority.h"
#include "core/base/log.h"
#include "core/config/capacity.h"
#include "core/config/exposure.h"
#include "core/coordination/local.h"
#include "core/coordination/member.h"
#include "core/metrics/descriptors.h"
#include "core/wire/link_queue.h"

namespace canopy::shard {
namespace {

using namespace std::chrono_literals;
namespace log = base::log;
using wire::Fault;

constexpr auto bind_patience = 5s;  // a predecessor that is just going away
constexpr int messages_per_turn = 1000;
// Of one proxy, unread; further ones wait at the proxy.
constexpr std::size_t requests_queue_bytes = std::size_t{16} << 20;
constexpr base::Duration tick_period = 100ms;
constexpr base::Duration report_period = 500ms;
constexpr base::Duration vitals_period = 1s;
constexpr base::Duration heartbeat_period = 1s;
// Of answers that wait for room in the queue of a proxy, such as one that stands still for a while.
// What it has sent before is bounded by its own queues and the kernel's.
constexpr net::OutboxLimits answer_limits{.peer_bytes = std::size_t{16} << 20,
                                          .total_bytes = std::size_t{64} << 20};

}  // namespace

base::Result<std::unique_ptr<Node>> Node::start(const config::Cluster& cluster,
                                                const config::Shard& shard, Tenancies tenancies,
                                                net::Loop& loop) {
  const std::uint64_t needed = config::descriptors_of(shard, cluster);
  if (metrics::max_fds() < needed) {
    return base::Error{"needs " + std::to_string(needed) + " descriptors, but RLIMIT_NOFILE is " +
                       std::to_string(metrics::max_fds())};
  }
  std::unique_ptr<Node> node(new Node(cluster, shard, std::move(tenancies), loop));
  if (auto status = node->open(cluster); !status) return base::Error{status.error()};
  return node;
}

Node::Node(const config::Cluster& cluster, const config::Shard& shard, Tenancies tenancies,
           net::Loop& loop)
    : config_(shard),
      file_read_{.fingerprint = cluster.fingerprint},
      lock_(std::move(tenancies.lock)),
      loop_(loop),
      started_(loop.now()),
      metrics_(shard.name),
      requests_(context_, net::SocketType::router,
                net::listening({.receive_hwm = wire::queue_messages(requests_queue_bytes),
                                .max_frame_bytes = base::max_link_frame_bytes,
                                .router_mandatory = true},
                               cluster.keys())),
      requests_monitor_(context_, requests_, "requests"),
      updates_(context_, net::SocketType::pub,
               net::listening({.send_hwm = wire::queue_messages(shard.updates_queue_bytes),
                               .max_frame_bytes = base::max_link_frame_bytes,
                               .send_buffer = shard.updates_send_buffer},
                              cluster.keys())),
      updates_monitor_(context_, updates_, "updates"),
      answers_(answer_limits, [this](const std::string& peer, std::string_view frame) {
        return requests_.send({peer, frame});
      }) {
  if (cluster.security) guard(cluster.security->server_key.public_key);
  served_.reserve(tenancies.all.size());
  for (Tenancy& tenancy : tenancies.all) {
    map_.add(tenancy.settings.subtree);
    served_.emplace_back(std::move(tenancy), metrics_);
  }
  coordinator_ =
      coordination::make_local_coordinator(directory_context_, loop_, cluster.broker.directory(),
                                           shard.name, cluster.keys(), tenancies.identity);
}

Node::~Node() = default;

// Nobody but the cluster's own processes has anything to say to a shard.
void Node::guard(const std::string& cluster_key) {
  const access::Authority authority(cluster_key, {});
  zap_.emplace(
      context_, loop_,
      [authority](std::string_view public_key) { return authority.name_of(public_key); },
      [this] {
        metrics_.registry.refuse_handshakes("unknown_key");
        metrics_.registry.count_closed("handshake");
      });
}

base::Status Node::open(const config::Cluster& cluster) {
  for (const std::string& line : config::exposure(
           cluster.security.has_value(), {config_.requests, config_.updates}, config_.http)) {
    log::warn("security", line);
  }
  if (auto status = requests_.bind(config_.requests, bind_patience); !status) return status;
  if (auto status = updates_.bind(config_.updates, bind_patience); !status) return status;
  auto http = metrics::HttpServer::start(config_.http, metrics_.registry, 10s, bind_patience);
  if (!http) return base::Error{http.error()};
  http_ = std::move(*http);

  loop_.on_readable(requests_, [this] { read_requests(); });
  for (net::Monitor* monitor : {&requests_monitor_, &updates_monitor_}) {
    loop_.on_readable(monitor->socket(), [this, monitor] {
      monitor->drain(loop_.now());
      monitor->take_ended();
    });
  }
  loop_.every(tick_period, [this] { tick(); });
  loop_.every(report_period, [this] { report(); });
  loop_.every(vitals_period, [this] { announce_vitals(); });
  loop_.on_turn_end([this] { end_turn(); });
  for (std::size_t i = 0; i < served_.size(); ++i) campaign(i);
  announce();
  report();
  return {};
}

void Node::read_requests() {
  turn_ = loop_.now();
  for (int i = 0; i < messages_per_turn && requests_.receive(message_); ++i) {
    if (message_.too_large()) {
      requests_monitor_.cut(message_, "frame_too_large");
      continue;
    }
    auto decoded =
        message_.size() == 2 ? wire::decode_to_shard(message_[1]) : base::Error{"wants one frame"};
    if (!decoded) {
      metrics_.reject("malformed");
      malformed_log_.warn("shard", "malformed message refused", {{"why", decoded.error()}});
      continue;
    }
    const std::string peer(message_[0]);
    std::visit([&](auto& message) { take(peer, std::move(message)); }, *decoded);
  }
}

void Node::take(const std::string& peer, wire::Writes writes) {
  for (wire::RoutedRequest& routed : writes.requests) take(peer, std::move(routed));
}

void Node::take(const std::string& peer, wire::RoutedRequest routed) {
  const std::vector<wire::Write>& writes = routed.request.writes;
  const auto count = static_cast<double>(writes.size());
  metrics_.received.Increment(count);
  if (writes.empty()) return refuse(peer, routed, Fault::malformed);
  const std::size_t index = map_.owner(writes.front().key);
  const auto elsewhere = [&](const wire::Write& write) { return map_.owner(write.key) != index; };
  if (std::ranges::any_of(writes, elsewhere)) {
    return refuse(peer, routed, Fault::several_partitions);
  }
  if (index == map_.size()) return refuse(peer, routed, Fault::no_partition);
  auto& partition = served_[index].partition;
  if (!partition) return refuse(peer, routed, Fault::partition_unavailable);
  const auto staged = stage(served_[index], peer, std::move(routed));
  if (staged.repeated) {
    metrics_.repeated.Increment(count);
  } else if (staged.fault != Fault::none) {
    metrics_.reject(std::string(wire::name(staged.fault)));
  }
}

void Node::refuse(const std::string& peer, wire::RoutedRequest& routed, Fault fault) {
  metrics_.reject(std::string(wire::name(fault)));
  replies_.add(Reply::to(peer, routed, {fault}));
}

void Node::take(const std::string& peer, const wire::Sync& sync) {
  const std::size_t index = map_.owner(sync.partition);
  if (index == map_.size() || map_.subtree(index) != sync.partition) {
    return refuse(peer, sync, "not a partition of this shard");
  }
  const Served& served = served_[index];
  if (!served.partition) {
    return refuse(peer, sync, served.tenancy.failure.empty() ? "loading" : served.tenancy.failure);
  }
  if (!sessions_.open(peer, sync, *served.partition, turn_)) {
    refuse(peer, sync, "too many syncs at once");
  }
}

void Node::take(const std::string& peer, const wire::Credit& credit) {
  sessions_.credit(peer, credit);
}

void Node::refuse(const std::string& peer, const wire::Sync& sync, const std::string& why) {
  metrics_.syncs_refused.Increment();
  answers_.post(
      peer,
      wire::encode(wire::Refused{.request = sync.request, .partition = sync.partition, .why = why}),
      0);
}

// Syncs come before the commits, which may take long: the credit of this turn is used in it.
void Node::end_turn() {
  if (std::exchange(changed_, false)) {
    announce();
    report();
  }
  serve_syncs();
  const base::TimePoint began = loop_.now();
  for (Served& served : served_) {
    served.extra_commits = 0;
    if (served.partition) commit(served);
  }
  last_commits_ = loop_.now() - began;
  send_replies();
}

void Node::commit(Served& served) {
  Partition& partition = *served.partition;
  partition.expire(loop_.now());
  if (!partition.pending()) return;
  const base::TimePoint began = loop_.now();
  const std::size_t count = partition.staged().size();
  if (count > 0 && served.tenancy.store && served.tenancy.settings.retain) {
    if (!store(served, began)) return;
  }
  const base::TimePoint done = loop_.now();
  auto committed = partition.commit(done);
  if (count > 0) {
    metrics_.commit_latency.Observe(std::chrono::duration<double>(done - began).count());
    served.metrics.committed.Increment(static_cast<double>(count));
  }
  for (wire::Batch& batch : committed.batches) publish(served, std::move(batch));
  for (Reply& reply : committed.replies) replies_.add(std::move(reply));
}

// A proxy that is gone does not get them: its clients ask again.
void Node::send_replies() {
  std::size_t lost = answers_.flush(loop_.now());
  for (const Replies::Message& message : replies_.take()) {
    lost +=
        answers_.post(message.proxy, wire::encode(message.answers), message.answers.answers.size());
  }
  metrics_.answers_dropped.Increment(static_cast<double>(lost));
  if (answers_.empty() || retry_pending_) return;
  retry_pending_ = true;
  loop_.after(answers_.pause(), [this] { retry_pending_ = false; });
}

void Node::publish(Served& served, wire::Batch batch) {
  if (!batch.updates.empty()) {
    metrics_.batch_updates.Observe(static_cast<double>(batch.updates.size()));
  }
  served.published = batch.committed;
  std::string frame = wire::encode(batch);
  std::size_t padding = wire::padding_messages(frame.size());
  updates_.send_frame(std::move(frame), false);
  if (padding == 0) return;
  batch.after = batch.end();
  batch.updates.clear();
  for (const std::string empty = wire::encode(batch); padding > 0; --padding) {
    updates_.send_frame(std::string_view(empty), false);
  }
}

void Node::serve_syncs() {
  const auto find = [this](const std::string& subtree) -> const Partition* {
    const Served& served = served_[map_.owner(subtree)];
    return served.partition ? &*served.partition : nullptr;
  };
  for (std::size_t left = SyncSessions::chunks_per_turn(last_commits_); left > 0; --left) {
    const auto step = sessions_.next(find, loop_.now());
    if (!step) return;
    switch (requests_.send({step->peer, wire::encode(step->chunk)})) {
      case net::SendResult::sent: break;
      case net::SendResult::would_block: sessions_.put_back(loop_.now()); continue;
      case net::SendResult::no_route:
        sessions_.close(step->peer, step->chunk.partition);  // its proxy is gone
        continue;
    }
    if (!step->finished) continue;
    const bool snapshot = step->finished->kind == wire::Chunk::Kind::snapshot;
    (snapshot ? metrics_.snapshots_sent : metrics_.replays_sent).Increment();
    if (snapshot) {
      metrics_.snapshot_duration.Observe(
          std::chrono::duration<double>(step->finished->took).count());
    }
  }
  if (sessions_.waiting(loop_.now()) && !wake_pending_) {
    wake_pending_ = true;
    loop_.after(0ms, [this] { wake_pending_ = false; });
  }
}

void Node::tick() {
  const base::TimePoint now = loop_.now();
  sessions_.drop_idle(now);
  for (Served& served : served_) {
    // What is staged is written, and synced if that is due, at the end of the turn.
    if (served.partition && served.tenancy.store && !served.partition->pending()) {
      check(served, served.tenancy.store->sync_if_due(now));
    }
    if (!served.partition) continue;
    if (now - served.published >= heartbeat_period) {
      publish(served, served.partition->heartbeat(now));
    }
  }
}

// A shard has nothing of its own that could be changed.
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
  for (Served& served : served_) {
    if (!served.tenancy.store || served.broken) continue;
    if (auto status = served.tenancy.store->sync(); !status) fail(served, status.error());
  }
}

}  // namespace canopy::shard
