#include "proxy/upstream.h"

#include <algorithm>

#include "core/keyspace/key.h"

namespace canopy::proxy {
namespace {

namespace log = base::log;
using cluster::Mirror;
using keyspace::shown;

constexpr base::Duration shard_timeout = std::chrono::seconds(3);
// Bytes of writes in the queue of a shard's connection. Further writes wait in Link::writes, where
// they are counted.
constexpr std::size_t sending_bytes = std::size_t{2} << 20;

net::ConnectorSettings link_settings(zmtp::SocketType type, const access::KeyPair* keys) {
  return {.connection = {.peer = {.type = type,
                                  .limits = {.frame_bytes = base::max_link_frame_bytes,
                                             .message_bytes = base::max_link_frame_bytes}},
                         .high_water_bytes = sending_bytes,
                         .low_water_bytes = sending_bytes / 4},
          .curve = net::curve_client(keys),
          .linger = std::chrono::milliseconds(500)};
}

net::ConnectorSettings updates_settings(const config::Proxy& proxy, const access::KeyPair* keys) {
  auto settings = link_settings(zmtp::SocketType::sub, keys);
  settings.connection.read_bytes_per_turn = static_cast<std::size_t>(proxy.link_queue_bytes);
  if (proxy.link_receive_buffer >= 0) {
    settings.receive_buffer_bytes = std::max(proxy.link_receive_buffer, 1);
  }
  return settings;
}

}  // namespace

Upstream::Link::Link(Upstream& owner, std::size_t position, const config::Shard& shard,
                     const access::KeyPair* keys)
    : upstream(owner),
      index(position),
      name(shard.name),
      requests(owner.server_, link_settings(zmtp::SocketType::dealer, keys), *this),
      updates(owner.server_, updates_settings(owner.config_, keys), *this),
      received_live(owner.metrics_.received.Add({{"shard", name}, {"source", "live"}})),
      received_repair(owner.metrics_.received.Add({{"shard", name}, {"source", "repair"}})),
      dropped(owner.metrics_.hwm_dropped.Add({{"shard", name}, {"hop", "shard_to_proxy"}})),
      gaps(owner.metrics_.gaps.Add({{"shard", name}})),
      replays(owner.metrics_.resyncs.Add({{"shard", name}, {"kind", "replay"}})),
      snapshots(owner.metrics_.resyncs.Add({{"shard", name}, {"kind", "snapshot"}})),
      forwarded(owner.metrics_.forwarded.Add({{"shard", name}})),
      queue_bytes(owner.metrics_.upstream_queue_bytes.Add({{"shard", name}})),
      up(owner.metrics_.shard_up.Add({{"shard", name}})),
      missing(owner.metrics_.shard_missing.Add({{"shard", name}})) {}

// A request that cannot be sent now waits in `unsent`, which is bounded.
bool Upstream::Link::send(std::string_view request) {
  net::Connection* connection = requests.connection();
  if (connection == nullptr || connection->queued_bytes() >= sending_bytes) return false;
  connection->send(std::span(&request, 1));
  return true;
}

void Upstream::Link::on_message(net::Connection& connection,
                                std::span<const std::string_view> parts) {
  if (&connection == updates.connection()) {
    upstream.on_update(*this, parts.front());
  } else {
    upstream.on_answer(*this, parts.front());
  }
}

Upstream::Upstream(const config::Cluster& cluster, const config::Proxy& proxy, net::Loop& loop,
                   Metrics& metrics, Applied applied, Answered answered, Renewed renewed,
                   Divided divided)
    : config_(proxy),
      loop_(loop),
      metrics_(metrics),
      applied_(std::move(applied)),
      answered_(std::move(answered)),
      renewed_(std::move(renewed)),
      divided_(std::move(divided)),
      server_(loop) {
  for (const config::Shard& shard : cluster.shards) {
    links_.push_back(std::make_unique<Link>(*this, links_.size(), shard, cluster.keys()));
  }
  for (const config::Partition& partition : cluster.partitions) {
    const auto leader =
        std::ranges::find(cluster.shards, partition.on.front(), &config::Shard::name);
    map_.add(partition.subtree);
    partitions_.push_back({.link = static_cast<std::size_t>(leader - cluster.shards.begin()),
                           .retain = partition.retain});
  }
}

void Upstream::on_directory(const coordination::Event& event) {
  if (!event.value) return;  // the shard has gone: the link reconnects when it returns
  const auto member = wire::parse_shard_member(*event.value);
  if (!member) {
    log::error("upstream", "directory entry not understood",
               {{"key", event.key}, {"why", member.error()}});
    return;
  }
  for (auto& link : links_) {
    if (link->name != member->name) continue;
    connect(*link, *member);
    for (const wire::PartitionState& partition : member->partitions) {
      if (partition.serves()) on_leader(*link, partition);
    }
  }
}

// The shard announces that it leads the partition. The higher epoch wins.
void Upstream::on_leader(Link& link, const wire::PartitionState& state) {
  std::size_t index = map_.find(state.subtree);
  if (index == map_.size()) divide(state.subtree);
  index = map_.find(state.subtree);
  if (index == map_.size()) return;
  Partition& partition = partitions_[index];
  if (state.epoch <= partition.epoch) return;
  partition.epoch = state.epoch;
  Link& before = *links_[partition.link];
  if (&before == &link) {
    // A batch brings its new epoch, unless it refused a sync before it led.
    if (partition.mirror && !partition.mirror->refusal().empty()) start_mirror(partition);
    return;
  }
  log::info("upstream", "led by another shard",
            {{"partition", shown(state.subtree)}, {"shard", link.name}, {"epoch", state.epoch}});
  partition.link = link.index;
  if (partition.mirror) {
    before.updates.unsubscribe(wire::batch_topic(state.subtree));
    link.updates.subscribe(wire::batch_topic(state.subtree));
    start_mirror(partition);
  }
  for (wire::RoutedRequest& request : before.writes.take_all()) {
    const std::string reply_to = request.reply_to;
    const std::uint64_t number = request.request.number;
    const wire::Fault fault = forward(std::move(request));
    if (fault == wire::Fault::none) continue;
    answered_({.reply_to = reply_to, .number = number, .fault = fault, .text = {}});
  }
}

void Upstream::connect(Link& link, const wire::ShardMember& member) {
  if (link.requests_endpoint == member.requests && link.updates_endpoint == member.updates) return;
  link.requests_endpoint = member.requests;
  link.updates_endpoint = member.updates;
  for (const auto& status :
       {link.requests.connect(member.requests), link.updates.connect(member.updates)}) {
    if (!status) log::error("upstream", status.error(), {{"shard", link.name}});
  }
  log::info("upstream", "shard found", {{"shard", link.name}, {"requests", member.requests}});
  // The new process does not answer requests to the old one.
  for (Partition& partition : partitions_) {
    if (links_[partition.link].get() == &link && partition.mirror) start_mirror(partition);
  }
}

wire::Fault Upstream::forward(wire::RoutedRequest request) {
  const std::size_t index = map_.owner(request.request.writes.front().key);
  for (const wire::Write& write : request.request.writes) {
    if (map_.owner(write.key) != index) return wire::Fault::several_partitions;
  }
  if (index == map_.size()) return wire::Fault::no_partition;
  Link& link = *links_[partitions_[index].link];
  if (!link.writes.add(std::move(request), config_.upstream_queue_bytes)) {
    log_.warn("upstream", "writes refused: too many wait for the shard",
              {{"shard", link.name}, {"queued_bytes", link.writes.bytes()}});
    return wire::Fault::busy;
  }
  if (count_forwarded(link)) send_writes(link);
  return wire::Fault::none;
}

// True when a message was made.
bool Upstream::count_forwarded(Link& link) {
  const std::size_t requests = link.writes.take_enclosed();
  if (requests > 0) link.forwarded.Increment(static_cast<double>(requests));
  return requests > 0;
}

// Sends nothing while paused: a shard sends only requested chunks.
void Upstream::send_requests(Link& link) {
  if (paused()) return;
  while (!link.unsent.empty() && link.send(link.unsent.front())) link.unsent.pop_front();
}

void Upstream::send_writes(Link& link) {
  while (!link.writes.empty() && link.send(link.writes.front())) link.writes.pop_front();
}

void Upstream::flush_writes() {
  for (auto& link : links_) {
    send_requests(*link);
    send_writes(*link);
    link->writes.flush();
    if (count_forwarded(*link)) send_writes(*link);
  }
}

void Upstream::pause() {
  if (paused()) return;
  paused_since_ = loop_.now();
  metrics_.upstream_pauses.Increment();
  for (auto& link : links_) link->updates.pause_reading();
}

void Upstream::resume() {
  if (!paused()) return;
  const base::TimePoint now = loop_.now();
  const base::Duration pause = now - *std::exchange(paused_since_, std::nullopt);
  for (auto& link : links_) {
    link->heard = std::min(now, link->heard + pause);
    link->updates.resume_reading();
    send_requests(*link);
  }
}

// While the proxy reads nothing, the clock of the timeout stands still.
bool Upstream::heard_lately(const Link& link) const {
  return paused_since_.value_or(loop_.now()) - link.heard < shard_timeout;
}

std::uint64_t Upstream::dropped() const {
  double total = 0;
  for (const auto& link : links_) total += link->dropped.Value();
  return static_cast<std::uint64_t>(total);
}

void Upstream::tick() {
  const base::TimePoint now = loop_.now();
  for (std::size_t index = 0; index < partitions_.size(); ++index) {
    Partition& partition = partitions_[index];
    if (!partition.mirror) continue;
    if (leases_.expired(index, now, config_.mirror_keep)) {
      drop_mirror(partition);
      continue;
    }
    Mirror::Effects effects;
    partition.mirror->tick(now, effects);
    Link& link = *links_[partition.link];
    if (!link.unsent.empty()) effects.requests.clear();  // the earlier request still waits
    carry_out(link, effects, now);
  }
  flush_writes();
}

void Upstream::report() {
  for (auto& link : links_) {
    link->queue_bytes.Set(static_cast<double>(link->writes.bytes()));
    const bool heard = heard_lately(*link);
    const bool needed = std::ranges::any_of(partitions_, [&](const Partition& partition) {
      return partition.mirror && links_[partition.link] == link;
    });
    link->up.Set(heard ? 1 : 0);
    link->missing.Set(needed && !heard ? 1 : 0);
  }
  for (const Partition& partition : partitions_) {
    if (!partition.mirror) continue;
    const Mirror& mirror = *partition.mirror;
    const metrics::Labels label{{"partition", shown(mirror.partition())}};
    metrics_.keys.Add(label).Set(static_cast<double>(mirror.tree().size()));
    metrics_.state_bytes.Add(label).Set(static_cast<double>(mirror.tree().bytes()));
    metrics_.epoch.Add(label).Set(mirror.revision().epoch());
    metrics_.revision.Add(label).Set(static_cast<double>(mirror.revision().counter()));
    metrics_.held_updates.Add(label).Set(static_cast<double>(mirror.held_updates()));
    metrics_.held_bytes.Add(label).Set(static_cast<double>(mirror.held_bytes()));
  }
}

std::map<std::string, std::string> Upstream::checks() const {
  std::map<std::string, std::string> result;
  for (const auto& link : links_) {
    result["shard " + link->name] = link->requests_endpoint.empty() ? "not in the directory" : "";
  }
  for (const Partition& partition : partitions_) {
    if (!partition.mirror) continue;
    const Link& link = *links_[partition.link];
    const Mirror& mirror = *partition.mirror;
    if (!mirror.refusal().empty()) {
      result["partition " + shown(mirror.partition())] = mirror.refusal();
    } else if (!heard_lately(link)) {
      result["shard " + link.name] = "nothing received";
    }
  }
  return result;
}

}  // namespace canopy::proxy
