#include "broker/node.h"

#include <unistd.h>

#include <csignal>
#include <map>

#include "broker/page.h"
#include "core/base/host.h"
#include "core/base/text.h"
#include "core/config/exposure.h"
#include "core/coordination/coordinators.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"
#include "core/metrics/descriptors.h"

namespace canopy::broker {
namespace {

using namespace std::chrono_literals;
namespace log = base::log;

constexpr auto bind_timeout = 5s;  // an ending process may still hold the port
constexpr base::Duration tick_period = 250ms;
// An expired proxy that the file does not name is shown as down this long, up to `max_lost`.
constexpr base::Duration lost_timeout = 10min;
constexpr std::size_t max_lost = 256;
constexpr std::uint64_t own_descriptors = 64;
constexpr base::Duration status_period = 1s;

// The entries that clients get for processes of the file that are down.
std::map<std::string, std::string> absent_members(const config::Cluster& cluster,
                                                  const Members& known) {
  std::map<std::string, std::string> members;
  for (const config::Shard& shard : cluster.shards) {
    members[coordination::shards_prefix + shard.name] =
        to_json(with_placed(cluster, known, {.name = shard.name}));
  }
  for (const config::Proxy& proxy : cluster.proxies) {
    members[coordination::proxies_prefix + proxy.name] = to_json(wire::ProxyMember{
        .name = proxy.name, .state = known.drained.contains(proxy.name) ? "drained" : "down"});
  }
  return members;
}

// Each process of the cluster holds one connection; clients hold one for a moment.
base::Status make_room(const config::Cluster& cluster) {
  const std::uint64_t needed = own_descriptors + cluster.shards.size() + cluster.proxies.size();
  if (metrics::raise_max_fds(needed)) return {};
  return base::Error{"needs " + std::to_string(needed) + " descriptors, but RLIMIT_NOFILE is " +
                     std::to_string(metrics::max_fds())};
}

}  // namespace

base::Result<std::unique_ptr<Node>> Node::start(config::Start& start, const std::string& directory,
                                                net::Loop& loop,
                                                std::function<void(const std::string&)> print) {
  std::unique_ptr<Node> node(new Node(start, directory, loop, std::move(print)));
  if (const auto status = node->open(); !status) return base::Error{status.error()};
  return node;
}

Node::Node(config::Start& start, const std::string& directory, net::Loop& loop,
           std::function<void(const std::string&)> print)
    : start_(start),
      cluster_(start.cluster),
      executables_(directory),
      loop_(loop),
      print_(std::move(print)),
      metrics_(cluster_.broker.name),
      server_(loop),
      started_(loop.now()) {
  if (!cluster_.security) return;
  authority_.emplace(cluster_.security->server_key.public_key,
                     access::Permissions(cluster_.security->clients));
}

base::Status Node::open_directory() {
  auto file = coordination::DirectoryFile::open(cluster_.state_dir + "/" + cluster_.broker.name,
                                                bind_timeout);
  if (!file) return base::Error{file.error()};
  file_ = std::move(*file);
  auto record = file_->record();
  if (!record) return base::Error{record.error()};
  const auto security = authority_ ? std::optional(coordination::LocalServer::Security{
                                         cluster_.security->server_key, *authority_})
                                   : std::nullopt;
  directory_ = std::make_unique<coordination::LocalServer>(
      server_, cluster_.coordination.lease, coordination::LocalServer::usual_queue_bytes,
      security ? &*security : nullptr, std::move(*record));
  return {};
}

Node::~Node() { loop_.cancel(timer_); }

base::Status Node::open() {
  for (const std::string& line :
       config::exposure(authority_.has_value(), {cluster_.broker.listen}, cluster_.broker.http)) {
    log::warn("security", line);
  }
  if (auto status = make_room(cluster_); !status) return status;
  if (auto status = open_directory(); !status) return status;
  const auto refused = [](const std::string& why) {
    const bool in_use = why.ends_with("already in use");
    return base::Error{why + (in_use ? " (is another broker running?)" : "")};
  };
  if (auto status = directory_->bind(cluster_.broker.listen, bind_timeout); !status) {
    return refused(status.error());
  }
  auto http =
      metrics::HttpServer::start(cluster_.broker.http, metrics_.registry, 10s, bind_timeout);
  if (!http) return refused(http.error());
  http_ = std::move(*http);
  self_ = {.pid = getpid(),
           .http = http_->address(),
           .directory = base::on_this_machine(directory_->endpoint()),
           .host = base::host_name()};
  http_->publish("/", std::string(page_html), "text/html; charset=utf-8",
                 "Content-Security-Policy: " + std::string(page_policy) +
                     "\r\nReferrer-Policy: no-referrer\r\n");
  directory_->observe([this](const cluster::Change& change) { on_change(change); });
  for (const auto& [key, entry] : directory_->directory().entries()) {
    on_change(cluster::KeyChanged{key, entry.value, entry.version});
  }
  directory_->on_closing([this](const net::Closing& closing) {
    metrics_.registry.count_closed(closing.closed);
    if (authority_) metrics_.registry.refuse_handshakes(closing.refused);
  });
  directory_->on_rejected([this](std::string_view reason) { metrics_.reject(reason); });
  expect_members(cluster_);
  for (const config::Partition& partition : cluster_.partitions) {
    metrics_.expect_leader(partition.subtree, partition.on.front());
  }
  serve_admins();
  if (cluster_.coordination.etcd) mirror_etcd();
  publish();
  timer_ = loop_.every(tick_period, [this] { tick(); });

  auto programs =
      cluster_.broker.supervise ? programs_of(cluster_, executables_) : std::vector<Program>{};
  for (const Program& program : programs) metrics_.restarts(program);
  supervisor_ = std::make_unique<Supervisor>(loop_, std::move(programs), cluster_.broker.drain);
  supervisor_->on_restart(
      [this](const Program& program) { metrics_.restarts(program).Increment(); });
  supervisor_->on_exit([this](const Program& program) { directory_->process_ended(program.name); });
  log::info("node", "broker started",
            {{"directory", self_.directory}, {"http", self_.http}, {"pid", self_.pid}});
  supervisor_->start();
  return {};
}

// Clients may ask the broker of any machine: each mirrors etcd.
void Node::mirror_etcd() {
  etcd_ = coordination::make_etcd_coordinator(cluster_.coordination, loop_,
                                              cluster_.broker.name + "-" + self_.host);
  etcd_->watch("", [this](const coordination::Event& event) {
    if (event.key.starts_with(coordination::elections_prefix) ||
        event.key.starts_with(coordination::backup_orders_prefix) ||
        event.key.starts_with(coordination::partitions_prefix)) {
      versions_[event.key] = event.version;
    }
    directory_->mirror(event.key, event.value);
  });
}

void Node::on_change(const cluster::Change& change) {
  if (const auto* key = std::get_if<cluster::KeyChanged>(&change)) {
    const bool vitals = key->key.starts_with(coordination::vitals_prefix);
    if (!vitals) dirty_ = true;  // each process sends vitals every second
    const auto status = vitals ? vitals_.apply(*key, loop_.now()) : members_.apply(*key);
    if (vitals) finish_reloads();
    if (status && key->key.starts_with(coordination::partitions_prefix)) log_record(*key);
    if (status) return;
    metrics_.reject("member");
    refused_log_.warn("node", "announcement refused", {{"why", status.error()}});
    return;
  }
  dirty_ = true;
  const auto& ended = std::get<cluster::SessionEnded>(change);
  if (ended.why != cluster::SessionEnded::Why::expired) return;
  metrics_.lease_expirations.Increment();
  log::warn("node", "lease of a process expired", {{"name", ended.name}});
  lose(ended.name);
}

void Node::log_record(const cluster::KeyChanged& change) const {
  const auto subtree = coordination::subtree_of(change.key);
  const auto found = subtree ? members_.records.find(*subtree) : members_.records.end();
  if (found == members_.records.end()) return;
  const coordination::PartitionStatus status{.record = found->second};
  log::info("node", "partition record",
            {{"partition", keyspace::shown(*subtree)},
             {"leader", status.record->leader.shard},
             {"epoch", status.epoch()},
             {"in_sync", base::joined(status.in_sync())}});
}

void Node::tick() {
  http_->beat();
  metrics_.link_queue.Set(static_cast<double>(server_.queued_bytes()));
  metrics_.sessions.Set(static_cast<double>(directory_->directory().session_count()));
  metrics_.last_generation.Set(static_cast<double>(directory_->directory().last_generation()));
  forget_lost();
  finish_reloads();
  const bool grants = directory_->directory().failure().empty();
  if (std::exchange(grants_, grants) != grants) dirty_ = true;
  if (std::exchange(dirty_, false)) {
    expect_members(cluster_);  // records may have moved partitions
    publish();
  } else if (loop_.now() - status_published_ >= status_period) {
    publish_status();
  }
  if (!announced_ready_ && !stopping_) announce_ready(readiness(cluster_, members_));
}

void Node::expect_members(const config::Cluster& cluster) {
  auto members = absent_members(cluster, members_);
  for (const auto& [name, when] : lost_) {
    members[coordination::proxies_prefix + name] =
        to_json(wire::ProxyMember{.name = name, .state = "down"});
  }
  directory_->expect(std::move(members));
}

// Remembers an expired proxy that the file does not name; the others are expected anyway.
void Node::lose(const std::string& name) {
  if (cluster_.find_proxy(name) != nullptr || lost_.size() >= max_lost) return;
  if (!members_.lose(name)) return;
  lost_[name] = loop_.now() + lost_timeout;
  expect_members(cluster_);
}

void Node::forget_lost() {
  const auto is_over = [this](const auto& lost) {
    const auto member = members_.proxies.find(lost.first);
    if (member != members_.proxies.end() && member->second.state != "down") return true;
    if (loop_.now() < lost.second) return false;
    members_.forget(lost.first);
    dirty_ = true;
    return true;
  };
  if (std::erase_if(lost_, is_over) > 0) expect_members(cluster_);
}

bool Node::drain(const std::string& name) {
  if (supervisor_ == nullptr || stopping_ || !supervisor_->drain(name)) return false;
  members_.drained = supervisor_->drained();
  expect_members(cluster_);
  dirty_ = true;
  return true;
}

void Node::on_signal(int signal) {
  switch (signal) {
    case SIGCHLD: return supervisor_->reap();
    case SIGHUP: return reload([](const coordination::LocalServer::Reload&) {});
    default: break;
  }
  if (!std::exchange(stopping_, true)) log::info("node", "stopping", {{"signal", signal}});
  publish();
  supervisor_->stop([this] { loop_.stop(); });
}

void Node::apply_config(const config::Cluster& wanted) {
  supervisor_->set_drain(wanted.broker.drain);
  expect_members(wanted);
  dirty_ = true;
  if (!cluster_.broker.supervise) return;
  for (Program& program : programs_of(wanted, executables_)) {
    if (supervisor_->supervises(program)) continue;
    metrics_.restarts(program);
    supervisor_->add(std::move(program));
  }
}

}  // namespace canopy::broker
