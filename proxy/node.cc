#include "proxy/node.h"

#include <unistd.h>

#include <algorithm>

#include "core/base/log.h"
#include "core/config/capacity.h"
#include "core/config/exposure.h"
#include "core/coordination/local.h"
#include "core/coordination/member.h"
#include "core/metrics/cpu.h"
#include "core/metrics/descriptors.h"

namespace canopy::proxy {
namespace {

namespace log = base::log;
namespace clone = wire::clone;
using namespace std::chrono_literals;

constexpr auto bind_patience = 5s;  // a predecessor that is just going away
constexpr base::Duration tick_period = 50ms;
constexpr base::Duration measure_period = 200ms;

const std::optional<config::Endpoint>& endpoint_of(const config::Proxy& proxy,
                                                   clone::Dialect dialect) {
  switch (dialect) {
    case clone::Dialect::kvsimple: return proxy.kvsimple;
    case clone::Dialect::kvmsg: return proxy.kvmsg;
    case clone::Dialect::chp: return proxy.chp;
  }
  return proxy.kvsimple;
}

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
      coordinator_(coordination::make_local_coordinator(
          directory_context_, loop, cluster.broker.directory(), proxy.name, cluster.keys())),
      upstream_(
          cluster, config_, context_, loop, metrics_,
          [this](std::span<const keyspace::UpdatePtr> updates, std::size_t shard,
                 base::TimePoint committed) { take(updates, shard, committed); },
          [this](const wire::Answer& answer) {
            if (native_ != nullptr) native_->answer(answer);
          },
          [this](std::size_t partition) {
            if (native_ != nullptr) native_->renew(partition);
          }),
      admission_(proxy.max_clients),
      pacer_(proxy.max_linger, proxy.publish_share / 100.0),
      drain_patience_(cluster.broker.drain * 2 / 5),
      reserved_descriptors_(config::reserved_descriptors(cluster.shards.size())) {
  if (guard_.on()) {
    zap_.emplace(
        context_, loop, [this](std::string_view public_key) { return let_in(public_key); },
        [this] {
          metrics_.registry.refuse_handshakes("unknown_key");
          metrics_.registry.count_closed("handshake");
        });
  }
  auto& backend = static_cast<Backend&>(*this);
  if (proxy.native) {
    auto native = std::make_unique<NativeFrontend>(*proxy.native, proxy, context_, loop, metrics_,
                                                   guard_, upstream_, backend);
    native_ = native.get();
    frontends_.push_back(std::move(native));
  }
  for (const clone::Dialect dialect : clone::dialects) {
    if (const auto& first = endpoint_of(proxy, dialect)) {
      frontends_.push_back(std::make_unique<CloneFrontend>(dialect, *first, proxy, context_, loop,
                                                           metrics_, guard_, backend));
    }
  }
}

Node::~Node() = default;

base::Status Node::open() {
  for (const std::string& line :
       config::exposure(guard_.on(), config::frontends(config_), config_.http)) {
    log::warn("security", line);
  }
  for (auto& frontend : frontends_) {
    if (auto status = frontend->bind(bind_patience); !status) return status;
  }
  auto http = metrics::HttpServer::start(config_.http, metrics_.registry, 10s, bind_patience);
  if (!http) return base::Error{http.error()};
  http_ = std::move(*http);
  descriptors_at_start_ = metrics::open_fds();
  if (auto status = check_descriptors(config_.max_clients); !status) return status;

  metrics_.max_clients.Set(static_cast<double>(config_.max_clients));
  coordinator_->on_generation([this](std::uint32_t granted) { begin_generation(granted); });
  coordinator_->report_known([this] { return upstream_.highest_epoch(); });
  coordinator_->watch(coordination::shards_prefix,
                      [this](const coordination::Event& event) { upstream_.on_directory(event); });
  loop_.every(tick_period, [this] { tick(); });
  loop_.every(1s, [this] { second(); });
  loop_.every(measure_period, [this] { pacer_.measure(metrics::cpu_time(), catching_up_); });
  loop_.on_turn_end([this] { end_turn(); });
  announce();
  report();
  return {};
}

base::Status Node::check_descriptors(std::uint64_t max_clients) const {
  const std::uint64_t needed =
      descriptors_at_start_ + reserved_descriptors_ + connections_per_client * max_clients;
  if (metrics::max_fds() >= needed) return {};
  return too_few_descriptors(max_clients, needed);
}

void Node::reload(config::Start& running) {
  const auto changed = config::reload(
      running, [this](const config::Security& wanted) { set_permissions(wanted); },
      [this](const config::Cluster& wanted) { return take_on(*wanted.find_proxy(config_.name)); });
  metrics_.registry.count_reload(changed.ok());
  file_read_ = running.read;
  announce_vitals();
}

base::Status Node::take_on(const config::Proxy& wanted) {
  if (auto status = check_descriptors(wanted.max_clients); !status) return status;
  config_ = wanted;
  pacer_.aim(config_.max_linger, config_.publish_share / 100.0);
  admission_.set_max_clients(config_.max_clients);
  metrics_.max_clients.Set(static_cast<double>(config_.max_clients));
  admit();
  return {};
}

wire::Fault Node::write(wire::RoutedRequest request) {
  return upstream_.forward(std::move(request));
}

MirrorLease Node::lease(std::string_view prefix) { return upstream_.lease(prefix); }

bool Node::ready(std::string_view prefix) const {
  return generation_ != 0 && upstream_.ready(prefix);
}

Cut Node::cut(std::string_view prefix) const {
  return {.stamp = last_stamp_, .views = upstream_.views(prefix)};
}

// Stamps and streams go on above those of every earlier process of this name.
void Node::begin_generation(std::uint32_t generation) {
  generation_ = generation;
  last_stamp_ = first_stamp(generation);
  if (native_ != nullptr) native_->begin_generation(generation);
  log::info("node", "generation granted", {{"generation", generation}});
  admit();
  announce();
  report();
}

void Node::take(std::span<const keyspace::UpdatePtr> updates, std::size_t shard,
                base::TimePoint committed) {
  for (const keyspace::UpdatePtr& update : updates) {
    if (native_ != nullptr) native_->append(update, shard);
    pending_.push({++last_stamp_, update, committed});
  }
  if (pending_.full(gathered_bytes())) upstream_.pause();
  metrics_.stamped.Increment(static_cast<double>(updates.size()));
}

void Node::end_turn() {
  upstream_.flush_writes();
  const base::TimePoint now = loop_.now();
  if (!pending_.empty() || (native_ != nullptr && native_->pending())) {
    const auto wait = pacer_.wait(now, pending_.size());
    if (wait.count() == 0 || upstream_.paused()) {
      flush(now);
      if (!pending_.empty()) wake_in(0ms);
    } else {
      wake_in(wait);
    }
  }
  serve();
}

void Node::serve() {
  const bool catching_up =
      std::ranges::any_of(frontends_, [](const auto& frontend) { return frontend->catching_up(); });
  const base::Duration before = catching_up ? metrics::thread_time() : base::Duration{};
  for (auto& frontend : frontends_) {
    if (const auto wait = frontend->serve(admission_.full())) wake_in(*wait);
  }
  if (catching_up) catching_up_ += metrics::thread_time() - before;
}

void Node::flush(base::TimePoint now) {
  const std::span<const Stamped> due = pending_.front();
  for (auto& frontend : frontends_) frontend->publish(due);
  for (const Stamped& stamped : due) {
    const std::chrono::duration<double> latency = now - stamped.committed;
    metrics_.delivery_latency.Observe(std::max(latency.count(), 0.0));
  }
  if (!due.empty()) metrics_.flush_updates.Observe(static_cast<double>(due.size()));
  pending_.pop_front();
  if (pending_.has_room(gathered_bytes())) upstream_.resume();
  if (pending_.empty()) pacer_.flushed(now);
}

// What streams hold of the updates that wait.
std::size_t Node::gathered_bytes() const {
  return native_ == nullptr ? 0 : native_->gathered_bytes();
}

// One timer, always for the earliest that was asked for; waking up is all it does, for the work is
// done at the end of every turn.
void Node::wake_in(base::Duration delay) {
  const base::TimePoint at = loop_.now() + delay;
  if (wake_at_ && *wake_at_ <= at) return;
  if (wake_at_) loop_.cancel(wake_timer_);
  wake_at_ = at;
  wake_timer_ = loop_.after(delay, [this] { wake_at_.reset(); });
}

void Node::connections_changed() { admit(); }

void Node::admit() {
  const base::TimePoint now = loop_.now();
  const bool was_full = admission_.full();
  for (const Role role : roles) {
    std::uint64_t connections = 0;
    for (const auto& frontend : frontends_) connections += frontend->connections(role);
    admission_.set_connections(role, connections, now);
  }
  for (const Role role : roles) arm_doors(role, admission_.room(role, now));
  if (admission_.full() == was_full) return;
  log::info("admission", admission_.full() ? "full: further clients wait outside" : "open again",
            {{"clients", admission_.clients()}, {"max_clients", admission_.max_clients()}});
  announce();
  report();
}

// Each door lets one connection in. With fewer places than dialects the doors take turns, a tick
// each, and between two turns all are shut for a tick: nobody is on his way in at two doors.
void Node::arm_doors(Role role, std::uint64_t room) {
  const std::size_t doors = frontends_.size();
  if (doors == 0) return;  // a proxy may serve no protocol
  const bool pause = room < doors && door_turn_ % 2 == 1;
  const std::uint64_t share = std::max<std::uint64_t>(room / doors, 1);
  for (std::size_t i = 0; i < doors; ++i) {
    const bool open = generation_ != 0 && !pause && i < room;
    frontends_[(i + door_turn_ / 2) % doors]->arm(role, open ? share : 0, loop_.now());
  }
}

void Node::tick() {
  ++door_turn_;
  admit();
  upstream_.tick();
  if (drained_) check_drained();
}

void Node::second() {
  for (auto& frontend : frontends_) {
    frontend->second();
    frontend->count_closed(metrics_.registry, guard_.on());
  }
  announce();
  announce_vitals();
  report();
}

const char* Node::state() const {
  if (drained_) return "draining";
  if (generation_ == 0) return "starting";
  return admission_.full() ? "full" : "ready";
}

// Whoever it changes something for has to come back, and is then let in, or not, as it is now.
void Node::set_permissions(const config::Security& security) {
  const auto changed = guard_.replace(security, context_.let_in());
  if (changed.empty()) return;
  for (auto& frontend : frontends_) frontend->cut(changed);
  log::info("security", "permissions changed", {{"clients", changed.size()}});
}

std::optional<std::string> Node::let_in(std::string_view public_key) {
  for (auto& frontend : frontends_) frontend->look();
  return guard_.name_of(public_key);
}

std::string Node::summary() const {
  return std::string(state()) + ", " + std::to_string(admission_.clients()) + " of " +
         std::to_string(admission_.max_clients()) + " clients";
}

void Node::announce() {
  if (drained_) return;
  coordination::ProxyMember member{
      .name = config_.name,
      .pid = getpid(),
      .http = config::advertised_http(http_->address(), config_.advertise),
      .state = state(),
      .clients = admission_.clients(),
      .max_clients = admission_.max_clients(),
      .native = {},
      .kvsimple = {},
      .kvmsg = {},
      .chp = {}};
  for (const auto& frontend : frontends_) frontend->announce(member, config_.advertise);
  std::string json = to_json(member);
  if (json == announced_) return;
  announced_ = json;
  coordinator_->announce(coordination::proxies_prefix + config_.name, json);
}

void Node::announce_vitals() {
  if (drained_) return;
  coordinator_->announce(
      coordination::vitals_prefix + config_.name,
      to_json(coordination::Vitals{
          .name = config_.name,
          .fds = metrics::open_fds(),
          .max_fds = metrics::max_fds(),
          .clients = admission_.clients(),
          .drops = upstream_.dropped() + (native_ != nullptr ? native_->missed() : 0),
          .revisions = upstream_.revisions(),
          .uptime_ms = base::in_ms(loop_.now() - started_),
          .updates = static_cast<std::uint64_t>(metrics_.stamped.Value()),
          .file = file_read_,
          .deliveries = static_cast<std::uint64_t>(metrics::total(metrics_.delivered)),
          .delivered_bytes = static_cast<std::uint64_t>(metrics::total(metrics_.delivered_bytes)),
          .flush_interval_us = static_cast<std::uint64_t>(pacer_.interval().count())}));
}

void Node::report() {
  http_->beat();
  metrics_.flush_interval.Set(std::chrono::duration<double>(pacer_.interval()).count());
  metrics_.max_linger.Set(std::chrono::duration<double>(config_.max_linger).count());
  metrics_.directory_up.Set(coordinator_->connected() ? 1 : 0);
  metrics_.clients.Set(static_cast<double>(admission_.clients()));
  metrics_.pending_bytes.Set(static_cast<double>(pending_.bytes() + gathered_bytes()));
  upstream_.report();
  for (auto& frontend : frontends_) frontend->report();
  metrics::Checks checks = upstream_.checks();
  checks["directory"] = coordination::readiness(*coordinator_);
  checks["generation"] = generation_ == 0 ? "waits for the broker to grant one" : "";
  checks["clients"] = admission_.full() ? "full: " + std::to_string(admission_.clients()) + " of " +
                                              std::to_string(admission_.max_clients())
                                        : "";
  checks["draining"] = drained_ ? "asked to stop" : "";
  http_->set_ready(checks);
}

void Node::drain(std::function<void()> drained) {
  if (drained_) return drained();  // asked twice: at once
  drained_ = std::move(drained);
  drain_until_ = loop_.now() + drain_patience_;
  coordinator_->resign();
  admission_.close();
  admit();
  if (native_ != nullptr) native_->drain(drain_patience_ / 2);
  report();
  check_drained();
}

void Node::check_drained() {
  if (native_ != nullptr && native_->clients() > 0 && loop_.now() < drain_until_) return;
  drained_();
}

void Node::finish() {
  upstream_.flush_writes();
  while (!pending_.empty()) flush(loop_.now());
}

}  // namespace canopy::proxy
