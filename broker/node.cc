#include "broker/node.h"

#include <unistd.h>

#include <csignal>
#include <map>

#include "broker/page.h"
#include "broker/status.h"
#include "core/base/host.h"
#include "core/base/text.h"
#include "core/config/exposure.h"
#include "core/coordination/coordinators.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"
#include "core/metrics/descriptors.h"
#include "core/metrics/http_get.h"

namespace canopy::broker {
namespace {

using namespace std::chrono_literals;
namespace log = base::log;

constexpr auto bind_patience = 5s;  // a predecessor that is just going away
constexpr base::Duration tick_period = 250ms;
constexpr base::Duration start_patience = 10s;
// A proxy of a template that died stays in sight for so long, and so many of them.
constexpr base::Duration lost_patience = 10min;
constexpr std::chrono::milliseconds proxy_patience =
    1500ms;  // the proxy waits for its loop, at most 1 s
constexpr std::size_t most_lost = 256;
constexpr std::uint64_t own_descriptors = 64;
constexpr base::Duration status_period = 1s;

// What clients are told of the processes of the file that are not there.
std::map<std::string, std::string> absent_members(const config::Cluster& cluster,
                                                  const Members& known) {
  std::map<std::string, std::string> members;
  for (const config::Shard& shard : cluster.shards) {
    members[coordination::shards_prefix + shard.name] =
        to_json(with_placed(cluster, known, {.name = shard.name}));
  }
  for (const config::Proxy& proxy : cluster.proxies) {
    members[coordination::proxies_prefix + proxy.name] = to_json(coordination::ProxyMember{
        .name = proxy.name, .state = known.drained.contains(proxy.name) ? "drained" : "down"});
  }
  return members;
}

// Each process of the cluster holds a connection, and clients that ask hold some for a moment.
base::Status make_room(const config::Cluster& cluster) {
  const std::uint64_t needed = own_descriptors + cluster.shards.size() + cluster.proxies.size();
  if (metrics::raise_max_fds(needed)) return {};
  return base::Error{"needs " + std::to_string(needed) + " descriptors, but RLIMIT_NOFILE is " +
                     std::to_string(metrics::max_fds())};
}

}  // namespace

base::Result<std::unique_ptr<Node>> Node::start(config::Start& start, const std::string& directory,
                                                net::Loop& loop,
                                                std::function<void(const std::string&)> say) {
  std::unique_ptr<Node> node(new Node(start, directory, loop, std::move(say)));
  if (const auto status = node->open(); !status) return base::Error{status.error()};
  return node;
}

Node::Node(config::Start& start, const std::string& directory, net::Loop& loop,
           std::function<void(const std::string&)> say)
    : start_(start),
      cluster_(start.cluster),
      executables_(directory),
      loop_(loop),
      say_(std::move(say)),
      metrics_(cluster_.broker.name),
      server_(loop),
      started_(loop.now()) {
  if (!cluster_.security) return;
  authority_.emplace(cluster_.security->server_key.public_key,
                     access::Permissions(cluster_.security->clients));
}

base::Status Node::open_directory() {
  auto file = coordination::DirectoryFile::open(cluster_.state_dir + "/" + cluster_.broker.name,
                                                bind_patience);
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
  if (auto status = directory_->bind(cluster_.broker.listen, bind_patience); !status) {
    return refused(status.error());
  }
  auto http =
      metrics::HttpServer::start(cluster_.broker.http, metrics_.registry, 10s, bind_patience);
  if (!http) return refused(http.error());
  http_ = std::move(*http);
  self_ = {.pid = getpid(),
           .http = http_->address(),
           .directory = config::on_this_machine(directory_->endpoint()),
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

// Clients may ask the broker of any machine: each tells them what etcd says.
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
    if (!vitals) dirty_ = true;  // vitals come each second, of everybody
    const auto status = vitals ? vitals_.apply(*key, loop_.now()) : members_.apply(*key);
    if (vitals) finish_reloads();
    if (status && key->key.starts_with(coordination::partitions_prefix)) log_record(*key);
    if (status) return;
    metrics_.reject("member");
    strange_.warn("node", "announcement refused", {{"why", status.error()}});
    return;
  }
  dirty_ = true;
  const auto& ended = std::get<cluster::SessionEnded>(change);
  if (ended.why != cluster::SessionEnded::Why::expired) return;
  metrics_.lease_expirations.Increment();
  log::warn("node", "process fell silent", {{"name", ended.name}});
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
    expect_members(cluster_);  // records may place partitions elsewhere
    publish();
  } else if (loop_.now() - status_published_ >= status_period) {
    publish_status();
  }
  if (!greeted_ && !stopping_) greet(readiness(cluster_, members_));
}

void Node::expect_members(const config::Cluster& cluster) {
  auto members = absent_members(cluster, members_);
  for (const auto& [name, when] : lost_) {
    members[coordination::proxies_prefix + name] =
        to_json(coordination::ProxyMember{.name = name, .state = "down"});
  }
  directory_->expect(std::move(members));
}

// What the file names is expected anyway; of others there is only the memory.
void Node::lose(const std::string& name) {
  if (cluster_.find_proxy(name) != nullptr || lost_.size() >= most_lost) return;
  if (!members_.lose(name)) return;
  lost_[name] = loop_.now() + lost_patience;
  expect_members(cluster_);
}

void Node::forget_lost() {
  const auto is_over = [this](const auto& lost) {
    const auto member = members_.proxies.find(lost.first);
    if (member != members_.proxies.end() && member->second.state != "down") return true;  // back
    if (loop_.now() < lost.second) return false;
    members_.forget(lost.first);
    dirty_ = true;
    return true;
  };
  if (std::erase_if(lost_, is_over) > 0) expect_members(cluster_);
}

std::string Node::summary() const {
  metrics::Checks checks = readiness(cluster_, members_);
  std::erase_if(checks, [](const auto& check) { return check.first.starts_with("partition/"); });
  const auto ready =
      std::ranges::count_if(checks, [](const auto& check) { return check.second.empty(); });
  return std::to_string(ready) + " of " + std::to_string(checks.size()) + " processes ready";
}

// The page asks the broker alone: a browser may reach the broker where it does not reach the
// proxies.
void Node::serve_clients() {
  std::map<std::string, std::string> addresses;
  for (const auto& [name, member] : members_.proxies) addresses[name] = member.http;
  http_->serve("/api/v1/clients/", [addresses = std::move(addresses)](const std::string& name) {
    const auto found = addresses.find(name);
    if (found == addresses.end()) return metrics::http_error(404, "no proxy " + name);
    auto answer = metrics::http_get(found->second, "/api/v1/clients", proxy_patience);
    if (!answer) return metrics::http_error(503, answer.error());
    return metrics::HttpDocument{.status = answer->status, .body = std::move(answer->body)};
  });
}

void Node::publish() {
  serve_clients();
  http_->publish("/api/v1/topology", topology_json(cluster_, members_, self_));
  http_->publish("/api/v1/sd", targets_json(cluster_, members_, self_));
  metrics::Checks checks = readiness(cluster_, members_);
  if (const std::string& why = directory_->directory().failure(); !why.empty()) {
    checks["state_dir"] = why;
  }
  if (stopping_) checks["broker"] = "stopping";
  http_->set_ready(checks);
  metrics_.set_members(count_states(cluster_, members_));
  metrics_.set_process_up(presence(cluster_, members_));
  metrics_.set_leaders(partition_statuses(cluster_, members_));
  publish_status();
}

bool Node::drain(const std::string& name) {
  if (supervisor_ == nullptr || stopping_ || !supervisor_->drain(name)) return false;
  members_.drained = supervisor_->drained();
  expect_members(cluster_);
  dirty_ = true;
  return true;
}

void Node::publish_status() {
  status_published_ = loop_.now();
  const Moment moment{.now = status_published_,
                      .started = started_,
                      .fds = metrics::open_fds(),
                      .max_fds = metrics::max_fds(),
                      .stopping = stopping_};
  http_->publish("/api/v1/status", status_json(cluster_, members_, self_, vitals_, moment));
}

// Once everybody is there, says where to connect; if that takes long, whom it waits for.
void Node::greet(const metrics::Checks& checks) {
  std::vector<std::string> missing;
  for (const auto& [process, why] : checks) {
    if (!why.empty()) missing.push_back(process + " is " + why);
  }
  if (missing.empty()) {
    greeted_ = true;
    say_(welcome_text(cluster_, members_, self_));
  } else if (!warned_ && loop_.now() - started_ > start_patience) {
    warned_ = true;
    log::warn("node", "the cluster is not complete yet", {{"missing", base::joined(missing)}});
  }
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

void Node::take_on(const config::Cluster& wanted) {
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
