// What a shard says of itself: to the directory, to Prometheus, to whoever asks whether it is
// ready.
#include <unistd.h>

#include <algorithm>

#include "core/config/endpoint.h"
#include "core/coordination/member.h"
#include "core/metrics/descriptors.h"
#include "shard/node.h"

namespace canopy::shard {
namespace {

// So that what 4,096 partitions announce of themselves stays one value of the directory.
constexpr std::size_t max_announced_failure = 128;

}  // namespace

void Node::announce() {
  coordination::ShardMember member{
      .name = config_.name,
      .pid = getpid(),
      .http = config::advertised_http(http_->address(), config_.advertise),
      .requests = config::advertised(requests_->endpoint(), config_.advertise),
      .updates = config::advertised(updates_->endpoint(), config_.advertise),
      .partitions = {}};
  for (const Served& served : served_) {
    const std::string& failure = served.tenancy.failure;
    member.partitions.push_back(
        {.subtree = served.tenancy.settings.subtree,
         .state = !failure.empty()       ? "failed: " + failure.substr(0, max_announced_failure)
                  : !served.full.empty() ? served.full
                  : served.partition     ? "serving"
                                         : "loading",
         .epoch = served.partition ? served.partition->revision().epoch() : 0});
  }
  coordinator_->announce(coordination::shards_prefix + config_.name, to_json(member));
}

void Node::announce_vitals() {
  coordination::Vitals vitals{.name = config_.name,
                              .fds = metrics::open_fds(),
                              .max_fds = metrics::max_fds(),
                              .clients = requests_->size(),
                              .uptime_ms = base::in_ms(loop_.now() - started_),
                              .file = file_read_};
  for (const Served& served : served_) {
    vitals.updates += static_cast<std::uint64_t>(served.metrics.committed.Value());
    if (!served.partition) continue;
    vitals.revisions[shown(served.tenancy.settings.subtree)] = served.partition->revision().value();
  }
  coordinator_->announce(coordination::vitals_prefix + config_.name, to_json(vitals));
}

void Node::report() {
  http_->beat();
  metrics_.proxy_links.Set(static_cast<double>(requests_->size()));
  metrics_.directory_up.Set(coordinator_->connected() ? 1 : 0);
  metrics_.sync_sessions.Set(static_cast<double>(sessions_.size()));
  metrics_.link_queue.Set(static_cast<double>(server_.queued_bytes()));
  metrics::Checks checks{{"directory", coordination::readiness(*coordinator_)}};
  for (Served& served : served_) {
    const std::string name = "partition " + shown(served.tenancy.settings.subtree);
    report_space(served);
    checks[name] = served.partition                 ? served.full
                   : served.tenancy.failure.empty() ? "waits for its leadership"
                                                    : served.tenancy.failure;
    if (!served.partition) continue;
    const Partition& partition = *served.partition;
    served.metrics.keys.Set(static_cast<double>(partition.tree().size()));
    served.metrics.state_bytes.Set(static_cast<double>(partition.tree().bytes()));
    served.metrics.epoch.Set(partition.revision().epoch());
    served.metrics.revision.Set(static_cast<double>(partition.revision().counter()));
    served.metrics.log_updates.Set(static_cast<double>(partition.log().size()));
  }
  http_->set_ready(checks);
}

std::string Node::summary() const {
  const auto led = std::ranges::count_if(
      served_, [](const Served& served) { return served.partition.has_value(); });
  return std::to_string(led) + " of " + std::to_string(served_.size()) + " partitions served";
}

}  // namespace canopy::shard
