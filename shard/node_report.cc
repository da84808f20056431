// Reports the state of a shard: to the directory, to Prometheus, and on /readyz.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/endpoint.h"
#include "core/keyspace/key.h"
#include "core/metrics/descriptors.h"
#include "core/wire/member.h"
#include "shard/node.h"

namespace canopy::shard {
namespace {

using keyspace::shown;

// Keeps the states of 4,096 partitions within one value of the directory.
constexpr std::size_t max_announced_state = 128;

bool not_ascii(char byte) { return static_cast<unsigned char>(byte) >= 0x80; }

}  // namespace

void Node::announce() {
  wire::ShardMember member{.name = config_.name,
                           .pid = getpid(),
                           .http = base::advertised_http(http_->address(), config_.advertise),
                           .requests = base::advertised(requests_->endpoint(), config_.advertise),
                           .updates = base::advertised(updates_->endpoint(), config_.advertise),
                           .partitions = {}};
  for (Replica* replica : kept_) {
    std::string state =
        replica->hosted == nullptr ? replica->state() : replica->hosted->state(loop_.now());
    state.resize(std::min(state.size(), max_announced_state));
    std::ranges::replace_if(state, not_ascii, '?');  // a cut UTF-8 sequence is not valid JSON
    member.partitions.push_back(
        {.subtree = replica->settings.subtree,
         .state = std::move(state),
         .epoch = replica->hosted == nullptr ? 0 : replica->hosted->replica().epoch()});
  }
  coordinator_->announce(coordination::shards_prefix + config_.name, to_json(member));
}

void Node::announce_vitals() {
  wire::Vitals vitals{.name = config_.name,
                      .fds = metrics::open_fds(),
                      .max_fds = metrics::max_fds(),
                      .clients = requests_->size(),
                      .uptime_ms = base::in_ms(loop_.now() - started_),
                      .file = file_read_};
  for (Replica* replica : kept_) {
    vitals.updates += static_cast<std::uint64_t>(replica->metrics->committed.Value());
    if (replica->hosted == nullptr || !replica->hosted->serves(loop_.now())) continue;
    vitals.revisions[shown(replica->settings.subtree)] =
        replica->hosted->replica().committed().value();
  }
  coordinator_->announce(coordination::vitals_prefix + config_.name, to_json(vitals));
}

void Node::report() {
  http_->beat();
  metrics_.proxy_links.Set(static_cast<double>(requests_->size()));
  metrics_.directory_up.Set(coordinator_->connected() ? 1 : 0);
  metrics_.sync_sessions.Set(static_cast<double>(sessions_.size()));
  metrics_.link_queue.Set(static_cast<double>(server_.queued_bytes()));
  metrics_.storage_queue.Set(storage_ ? static_cast<double>(storage_->queued_bytes()) : 0);
  metrics::Checks checks{{"directory", coordination::readiness(*coordinator_)}};
  for (Replica* replica : kept_) {
    const std::string name = "partition " + shown(replica->settings.subtree);
    if (replica->hosted == nullptr) {
      checks[name] = replica->state();
      continue;
    }
    const Hosted& hosted = *replica->hosted;
    checks[name] = hosted.trouble(loop_.now());
    const cluster::Replica& copy = hosted.replica();
    PartitionMetrics& metrics = *replica->metrics;
    metrics.full.Set(hosted.state(loop_.now()).starts_with("full") ? 1 : 0);
    metrics.keys.Set(static_cast<double>(copy.tree().size()));
    metrics.state_bytes.Set(static_cast<double>(copy.tree().bytes()));
    metrics.epoch.Set(copy.epoch());
    metrics.revision.Set(static_cast<double>(copy.committed().counter()));
    metrics.log_updates.Set(static_cast<double>(copy.log().size()));
    const bool leads = copy.leads(loop_.now());
    metrics.set_replicas(leads ? copy.record()->in_sync.size() : 0,
                         leads ? copy.lags() : std::map<std::string, std::uint64_t>());
  }
  http_->set_ready(checks);
}

std::string Node::summary() const {
  std::size_t served = 0;
  std::size_t followed = 0;
  for (const Replica* replica : kept_) {
    if (replica->hosted == nullptr) continue;
    if (replica->hosted->serves(loop_.now())) {
      ++served;
    } else if (replica->hosted->trouble(loop_.now()).empty()) {
      ++followed;
    }
  }
  return std::to_string(served) + " of " + std::to_string(kept_.size()) + " partitions served" +
         (followed == 0 ? std::string() : ", " + std::to_string(followed) + " followed");
}

}  // namespace canopy::shard
