#include "proxy/node.h"

#include <unistd.h>

#include "core/base/log.h"
#include "core/config/capacity.h"
#include "core/config/exposure.h"
#include "core/coordination/coordinators.h"
#include "core/metrics/cpu.h"
#include "core/metrics/descriptors.h"
#include "core/wire/member.h"
#include "proxy/clients_document.h"
#include "proxy/frontends.h"
#include "proxy/room.h"

namespace canopy::proxy {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;

constexpr auto bind_timeout = 5s;  // an ending process may still hold the port
constexpr base::Duration tick_period = 250ms;

base::Error too_few_descriptors(std::uint64_t max_clients, std::uint64_t needed) {
  return {"max_clients " + std::to_string(max_clients) + " needs " + std::to_string(needed) +
          " descriptors, but RLIMIT_NOFILE is " + std::to_string(metrics::max_fds())};
}

}  // namespace

base::Result<std::unique_ptr<Node>> Node::start(const config::Cluster& cluster,
                                                const config::Proxy& proxy, net::Loop& loop) {
  const std::uint64_t needed = config::descriptors_of(proxy, cluster);
  if (metrics::max_fds() < needed) return too_few_descriptors(proxy.max_clients, needed);
  std::unique_ptr<Node> node(new Node(cluster, proxy, loop));
  if (auto status = node->open(); !status) return base::Error{status.error()};
  return node;
}

Node::Node(const config::Cluster& cluster, const config::Proxy& proxy, net::Loop& loop)
    : config_(proxy),
      file_read_{.fingerprint = cluster.fingerprint},
      loop_(loop),
      started_(loop.now()),
      metrics_(proxy.name),
      guard_(cluster.security, metrics_),
      coordinator_(coordination::make_coordinator(cluster, loop, proxy.name)),
      upstream_(
          cluster, config_, loop, metrics_,
          [this](std::span<const keyspace::UpdatePtr> updates, std::size_t shard,
                 base::TimePoint committed) { apply(updates, shard, committed); },
          [this](const wire::Answer& answer) {
            for (const auto& frontend : fan_out_.frontends()) frontend->answer(answer);
          },
          [this](std::size_t partition) {
            for (const auto& frontend : fan_out_.frontends()) frontend->renew(partition);
          },
          [this](std::size_t whole, std::size_t part, keyspace::Revision known) {
            for (const auto& each : fan_out_.frontends()) each->divide(whole, part, known);
          }),
      server_(loop),
      fan_out_(make_frontends(config_, metrics_, *this), config_, metrics_,
               {.send = [this] { server_.send_queued(); }, .cpu_time = metrics::thread_time}),
      listeners_(server_, guard_, metrics_),
      drain_timeout_(cluster.broker.drain * 2 / 5),
      reserved_descriptors_(config::reserved_descriptors(cluster.shards.size())) {
  // Series exist from the start: Prometheus sees the first increment as a change.
  for (const std::string& dialect : dialects(config_)) {
    for (const config::Shard& shard : cluster.shards) {
      metrics_.missed_by_clients(shard.name, dialect);
    }
  }
}

base::Status Node::open() {
  for (const std::string& line :
       config::exposure(guard_.on(), config::frontends(config_), config_.http)) {
    log::warn("security", line);
  }
  for (const auto& frontend : fan_out_.frontends()) {
    if (auto status = listeners_.open(*frontend, config_, bind_timeout); !status) return status;
  }
  auto http = metrics::HttpServer::start(config_.http, metrics_.registry, 10s, bind_timeout);
  if (!http) return base::Error{http.error()};
  http_ = std::move(*http);
  serve_clients();
  descriptors_at_start_ = metrics::open_fds();
  if (auto status = check_descriptors(config_); !status) return status;

  metrics_.max_clients.Set(static_cast<double>(config_.max_clients));
  coordinator_->on_generation([this](std::uint32_t granted) { begin_generation(granted); });
  coordinator_->report_known([this] { return upstream_.highest_epoch(); });
  coordinator_->watch(coordination::shards_prefix,
                      [this](const coordination::Event& event) { upstream_.on_directory(event); });
  loop_.every(tick_period, [this] {
    upstream_.tick();
    fan_out_.measure(metrics::cpu_time());
  });
  loop_.every(1s, [this] { on_heartbeat(); });
  loop_.on_turn_end([this] { end_turn(); });
  announce();
  report();
  return {};
}

// With security only an admin may list clients, and HTTP requests carry no client key.
void Node::serve_clients() {
  http_->serve("/api/v1/clients", [this, secured = guard_.on(), name = config_.name](auto&) {
    if (secured) {
      return metrics::http_error(403, "the cluster has `security`: use `canopy clients` instead");
    }
    return clients_document(loop_, name, [this] { return clients(); });
  });
}

base::Status Node::check_descriptors(const config::Proxy& wanted) const {
  const std::uint64_t needed = descriptors_at_start_ + reserved_descriptors_ +
                               config::connections_per_client(wanted) * wanted.max_clients;
  if (metrics::max_fds() >= needed) return {};
  return too_few_descriptors(wanted.max_clients, needed);
}

void Node::reload(config::Start& running) {
  const auto changed = config::reload(
      running, [this](const config::Security& wanted) { set_permissions(wanted); },
      [this](const config::Cluster& wanted) {
        return apply_config(*wanted.find_proxy(config_.name));
      });
  metrics_.registry.count_reload(changed.ok());
  file_read_ = running.read;
  announce_vitals();
}

base::Status Node::apply_config(const config::Proxy& wanted) {
  if (auto status = check_descriptors(wanted); !status) return status;
  config_ = wanted;
  fan_out_.aim(config_);
  metrics_.max_clients.Set(static_cast<double>(config_.max_clients));
  admit();
  return {};
}

// Closes the connections of clients whose permissions changed: they connect anew.
void Node::set_permissions(const config::Security& security) {
  const auto changed = guard_.replace(security);
  if (changed.empty()) return;
  listeners_.close(changed, "permissions");
  log::info("security", "permissions changed", {{"clients", changed.size()}});
}

std::size_t Node::queue_limit() const {
  return proxy::queue_limit(config_.client_queue_bytes, config_.egress_bytes,
                            server_.queued_bytes());
}

// Stamps and stream numbers exceed those of every earlier process of this name.
void Node::begin_generation(std::uint32_t generation) {
  generation_ = generation;
  last_stamp_ = first_stamp(generation);
  for (const auto& frontend : fan_out_.frontends()) frontend->begin_generation(generation);
  log::info("node", "generation granted", {{"generation", generation}});
  admit();
  announce();
  report();
}

void Node::apply(std::span<const keyspace::UpdatePtr> updates, std::size_t shard,
                 base::TimePoint committed) {
  for (const keyspace::UpdatePtr& update : updates) {
    fan_out_.apply(
        {.stamp = next_stamp(), .update = update, .shard = shard, .committed = committed});
  }
  if (fan_out_.full()) upstream_.pause();
  metrics_.stamped.Increment(static_cast<double>(updates.size()));
}

void Node::end_turn() {
  upstream_.flush_writes();
  const base::TimePoint now = loop_.now();
  if (const auto wait = fan_out_.flush(now, upstream_.paused())) wake_in(*wait);
  if (fan_out_.has_room()) upstream_.resume();
  for (const auto& frontend : fan_out_.frontends()) {
    if (const auto wait = frontend->serve(now)) wake_in(*wait);
  }
  notice_full();
  if (drained_) check_drained();
}

// One timer, for the earliest requested time. Its callback does nothing: the end of every turn does
// the work.
void Node::wake_in(base::Duration delay) {
  if (delay.count() <= 0) return loop_.post([] {});
  const base::TimePoint at = loop_.now() + delay;
  if (wake_at_ && *wake_at_ <= at) return;
  if (wake_at_) loop_.cancel(wake_timer_);
  wake_at_ = at;
  wake_timer_ = loop_.after(delay, [this] { wake_at_.reset(); });
}

void Node::admit() {
  listeners_.admit(generation_ != 0 && !drained_ ? config_.max_clients : 0);
  notice_full();
}

void Node::notice_full() {
  if (full() == was_full_) return;
  was_full_ = full();
  log::info("admission", was_full_ ? "full: accepts no further clients" : "accepts clients again",
            {{"clients", listeners_.clients()}, {"max_clients", config_.max_clients}});
  announce();
  report();
}

void Node::on_heartbeat() {
  const base::TimePoint now = loop_.now();
  for (const auto& frontend : fan_out_.frontends()) frontend->on_heartbeat(now);
  announce();
  announce_vitals();
  report();
}

const char* Node::state() const {
  if (drained_) return "draining";
  if (generation_ == 0) return "starting";
  return full() ? "full" : "ready";
}

std::string Node::summary() const {
  return std::string(state()) + ", " + std::to_string(listeners_.clients()) + " of " +
         std::to_string(config_.max_clients) + " clients";
}

void Node::announce() {
  if (drained_) return;
  wire::ProxyMember member{.name = config_.name,
                           .pid = getpid(),
                           .http = base::advertised_http(http_->address(), config_.advertise),
                           .state = state(),
                           .clients = listeners_.clients(),
                           .max_clients = config_.max_clients,
                           .native = {},
                           .kvsimple = {},
                           .kvmsg = {},
                           .chp = {}};
  for (const auto& frontend : fan_out_.frontends()) {
    std::vector<config::Endpoint> endpoints = listeners_.endpoints(*frontend);
    for (auto& endpoint : endpoints) endpoint = base::advertised(endpoint, config_.advertise);
    frontend->announce(member, endpoints);
  }
  std::string json = to_json(member);
  if (json == announced_) return;
  announced_ = json;
  coordinator_->announce(coordination::proxies_prefix + config_.name, json);
}

void Node::announce_vitals() {
  if (drained_) return;
  std::uint64_t drops = upstream_.dropped();
  for (const auto& frontend : fan_out_.frontends()) drops += frontend->missed();
  coordinator_->announce(
      coordination::vitals_prefix + config_.name,
      to_json(wire::Vitals{
          .name = config_.name,
          .fds = metrics::open_fds(),
          .max_fds = metrics::max_fds(),
          .clients = listeners_.clients(),
          .drops = drops,
          .revisions = upstream_.revisions(),
          .uptime_ms = base::in_ms(loop_.now() - started_),
          .updates = static_cast<std::uint64_t>(metrics_.stamped.Value()),
          .file = file_read_,
          .deliveries = static_cast<std::uint64_t>(metrics::total(metrics_.delivered)),
          .delivered_bytes = static_cast<std::uint64_t>(metrics::total(metrics_.delivered_bytes)),
          .flush_interval_us = static_cast<std::uint64_t>(fan_out_.interval().count())}));
}

void Node::report() {
  http_->beat();
  metrics_.flush_interval.Set(std::chrono::duration<double>(fan_out_.interval()).count());
  metrics_.max_linger.Set(std::chrono::duration<double>(config_.max_linger).count());
  metrics_.directory_up.Set(coordinator_->connected() ? 1 : 0);
  metrics_.pending_bytes.Set(static_cast<double>(fan_out_.bytes()));
  listeners_.report(queue_limit());
  upstream_.report();
  for (const auto& frontend : fan_out_.frontends()) frontend->report();
  metrics::Checks checks = upstream_.checks();
  checks["directory"] = coordination::readiness(*coordinator_);
  checks["generation"] = generation_ == 0 ? "waits for the broker to grant one" : "";
  checks["clients"] = full() ? "full: " + std::to_string(listeners_.clients()) + " of " +
                                   std::to_string(config_.max_clients)
                             : "";
  checks["draining"] = drained_ ? "draining" : "";
  http_->set_ready(checks);
}

void Node::drain(std::function<void()> drained) {
  if (drained_) return drained();  // a second call ends the drain at once
  drained_ = std::move(drained);
  drain_until_ = loop_.now() + drain_timeout_;
  coordinator_->resign();
  admit();
  for (const auto& frontend : fan_out_.frontends()) frontend->drain(drain_timeout_ / 2);
  report();
  wake_in(drain_timeout_);
  check_drained();
}

void Node::check_drained() {
  std::size_t leaving = 0;
  for (const auto& frontend : fan_out_.frontends()) leaving += frontend->leaving();
  if (leaving == 0 || loop_.now() >= drain_until_) drained_();
}

void Node::finish() {
  upstream_.flush_writes();
  fan_out_.finish(loop_.now());
}

}  // namespace canopy::proxy
