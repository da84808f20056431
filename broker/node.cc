#include "broker/node.h"

#include <unistd.h>

#include <array>
#include <csignal>

#include "broker/reload.h"

namespace canopy::broker {
namespace {

using namespace std::chrono_literals;
namespace log = base::log;

constexpr auto bind_patience = 5s;  // a predecessor that is just going away
constexpr base::Duration tick_period = 100ms;
constexpr base::Duration start_patience = 10s;

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::string join(const std::vector<std::string>& phrases) {
  std::string joined;
  for (const std::string& phrase : phrases) joined += (joined.empty() ? "" : ", ") + phrase;
  return joined;
}

// What clients are told of the processes of the file that are not there.
std::map<std::string, std::string> down_members(const config::Cluster& cluster) {
  std::map<std::string, std::string> members;
  for (const config::Shard& shard : cluster.shards) {
    coordination::ShardMember member{.name = shard.name};
    for (const config::Partition& partition : shard.partitions) {
      member.partitions.push_back({.subtree = partition.subtree, .state = "down"});
    }
    members[coordination::shards_prefix + shard.name] = to_json(member);
  }
  for (const config::Proxy& proxy : cluster.proxies) {
    members[coordination::proxies_prefix + proxy.name] =
        to_json(coordination::ProxyMember{.name = proxy.name, .state = "down"});
  }
  return members;
}

}  // namespace

base::Result<std::unique_ptr<Node>> Node::start(const config::Cluster& cluster,
                                                const std::string& directory, net::Loop& loop,
                                                std::function<void(const std::string&)> say) {
  std::unique_ptr<Node> node(new Node(cluster, loop, std::move(say)));
  if (const auto status = node->open(directory); !status) return base::Error{status.error()};
  return node;
}

Node::Node(const config::Cluster& cluster, net::Loop& loop,
           std::function<void(const std::string&)> say)
    : cluster_(cluster),
      loop_(loop),
      say_(std::move(say)),
      metrics_(cluster.broker.name),
      directory_(context_, loop, cluster.broker.lease),
      started_(loop.now()) {}

Node::~Node() { loop_.cancel(timer_); }

base::Status Node::open(const std::string& directory) {
  if (auto status = directory_.bind(cluster_.broker.listen, bind_patience); !status) {
    return base::Error{status.error() + " (is another broker running?)"};
  }
  auto http =
      metrics::HttpServer::start(cluster_.broker.http, metrics_.registry, 10s, bind_patience);
  if (!http) return base::Error{http.error()};
  http_ = std::move(*http);
  self_ = {.pid = getpid(),
           .http = http_->address(),
           .directory = directory_.endpoint(),
           .host = host_name()};
  directory_.observe([this](const cluster::Change& change) { on_change(change); });
  directory_.on_rejected([this](std::string_view reason) { metrics_.reject(reason); });
  directory_.expect(down_members(cluster_));
  directory_.on_drain([this](const std::string& name) {
    return supervisor_ != nullptr && !stopping_ && supervisor_->drain(name);
  });
  publish();
  timer_ = loop_.every(tick_period, [this] { tick(); });

  auto programs =
      cluster_.broker.supervise ? programs_of(cluster_, directory) : std::vector<Program>{};
  for (const Program& program : programs) metrics_.restarts(program);
  supervisor_ = std::make_unique<Supervisor>(loop_, std::move(programs), cluster_.broker.drain);
  supervisor_->on_restart(
      [this](const Program& program) { metrics_.restarts(program).Increment(); });
  log::info("node", "broker started",
            {{"directory", self_.directory}, {"http", self_.http}, {"pid", self_.pid}});
  supervisor_->start();
  return {};
}

void Node::on_change(const cluster::Change& change) {
  if (const auto* key = std::get_if<cluster::KeyChanged>(&change)) {
    if (key->key.starts_with(coordination::vitals_prefix)) return;  // each second, of everybody
    dirty_ = true;
    const auto status = members_.apply(*key);
    if (status) return;
    metrics_.reject("member");
    strange_.warn("node", "announcement refused", {{"why", status.error()}});
    return;
  }
  dirty_ = true;
  if (const auto* leader = std::get_if<cluster::LeaderChanged>(&change)) {
    metrics_.set_leader(*leader);
    log::info("node", leader->leader ? "partition led" : "partition not led",
              {{"partition", leader->partition.empty() ? "*" : leader->partition},
               {"shard", leader->leader.value_or("none")},
               {"epoch", leader->epoch}});
  } else if (const auto* ended = std::get_if<cluster::SessionEnded>(&change)) {
    if (ended->why != cluster::SessionEnded::Why::expired) return;
    metrics_.lease_expirations.Increment();
    log::warn("node", "process fell silent", {{"name", ended->name}});
  }
}

void Node::tick() {
  http_->beat();
  metrics_.sessions.Set(static_cast<double>(directory_.directory().session_count()));
  if (std::exchange(dirty_, false)) publish();
  if (!greeted_ && !stopping_) greet(readiness(cluster_, members_));
}

void Node::publish() {
  http_->publish("/api/v1/topology", topology_json(cluster_, members_, self_));
  http_->publish("/api/v1/sd", targets_json(cluster_, members_, self_));
  metrics::Checks checks = readiness(cluster_, members_);
  if (stopping_) checks["broker"] = "stopping";
  http_->set_ready(checks);
  metrics_.set_members(count_states(cluster_, members_));
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
    log::warn("node", "the cluster is not complete yet", {{"missing", join(missing)}});
  }
}

void Node::on_signal(int signal) {
  switch (signal) {
    case SIGCHLD: return supervisor_->reap();
    case SIGHUP: return reload();
    default: break;
  }
  if (!std::exchange(stopping_, true)) log::info("node", "stopping", {{"signal", signal}});
  publish();
  supervisor_->stop([this] { loop_.stop(); });
}

void Node::reload() {
  const auto wanted = config::read_cluster(cluster_.file);
  if (!wanted) {
    log::error("config", "reload refused", {{"why", wanted.error()}});
    return;
  }
  const auto changes = differences(cluster_, *wanted);
  if (changes.empty()) {
    log::info("config", "reload: no process is changed", {{"file", cluster_.file}});
    return;
  }
  log::warn("config", "reload: the file is valid; a process takes it on only when it is restarted",
            {{"file", cluster_.file}, {"changes", join(changes)}});
}

}  // namespace canopy::broker
