#include "broker/metrics.h"

#include "core/keyspace/key.h"

namespace canopy::broker {
namespace {

using State = std::pair<std::string, std::string>;

// Other states count as one, so that a process cannot add labels.
const State known_states[] = {{"shard", "ready"},    {"shard", "full"},     {"shard", "loading"},
                              {"shard", "waiting"},  {"shard", "failed"},   {"shard", "down"},
                              {"proxy", "ready"},    {"proxy", "starting"}, {"proxy", "full"},
                              {"proxy", "draining"}, {"proxy", "drained"},  {"proxy", "down"},
                              {"shard", "other"},    {"proxy", "other"}};

}  // namespace

Metrics::Metrics(const std::string& name)
    : registry("broker", name),
      members_(registry.gauge("canopy_members", "Processes of the cluster, by role and state.")),
      process_up_(registry.gauge("canopy_process_up",
                                 "1 while the process is in the directory; 0 while it is "
                                 "missing: configured, or its lease expired.")),
      restarts_(registry.counter("canopy_restarts_total",
                                 "Restarts of a process by the supervisor of this machine.")),
      leaders_(
          registry.gauge("canopy_partition_leader",
                         "1 for the shard that leads the partition; 0 while it has no leader.")),
      rejected_(
          registry.counter("canopy_rejected_total",
                           "Messages and announcements that the directory refused, by reason.")),
      lease_expirations(
          registry
              .counter("canopy_lease_expirations_total",
                       "Sessions that expired because the process sent nothing for a lease.")
              .Add({})),
      last_generation(registry
                          .gauge("canopy_last_generation",
                                 "Last generation that the directory granted; the largest is "
                                 "8388607.")
                          .Add({})),
      sessions(registry.gauge("canopy_sessions", "Open sessions of processes in the directory.")
                   .Add({})),
      link_queue(
          registry
              .gauge("canopy_link_queue_bytes", "Bytes queued for connected processes and clients.")
              .Add({})) {
  for (const State& state : known_states) {
    by_state_[state] = &members_.Add({{"role", state.first}, {"state", state.second}});
  }
  for (const char* reason : {"frame_count", "malformed", "member", "name_taken"}) {
    rejected_.Add({{"reason", reason}});
  }
}

void Metrics::set_members(const std::map<State, int>& counts) {
  std::map<State, int> known;
  for (const auto& [state, count] : counts) {
    known[by_state_.contains(state) ? state : State{state.first, "other"}] += count;
  }
  for (const auto& [state, gauge] : by_state_) gauge->Set(known[state]);
}

void Metrics::set_process_up(const std::map<std::pair<std::string, std::string>, bool>& processes) {
  std::erase_if(process_up_gauges_, [&](const auto& known) {
    if (processes.contains(known.first)) return false;
    process_up_.Remove(known.second);
    return true;
  });
  for (const auto& [process, up] : processes) {
    metrics::Gauge*& gauge = process_up_gauges_[process];
    if (gauge == nullptr) {
      gauge = &process_up_.Add({{"role", process.first}, {"name", process.second}});
    }
    gauge->Set(up ? 1 : 0);
  }
}

metrics::Counter& Metrics::restarts(const Program& program) {
  return restarts_.Add({{"role", program.role}, {"name", program.name}});
}

void Metrics::expect_leader(const std::string& partition, const std::string& shard) {
  if (!leading_.contains(partition)) leader_gauge(partition, shard).Set(0);
}

void Metrics::set_leaders(const coordination::PartitionStatuses& partitions) {
  for (const auto& [partition, status] : partitions) {
    const std::string leader = status.leader();
    if (!leader.empty()) {
      leader_gauge(partition, leader).Set(1);
    } else if (const auto last = leading_.find(partition); last != leading_.end()) {
      last->second.gauge->Set(0);
    }
  }
}

// One series a partition: replaces the series of the earlier leader.
metrics::Gauge& Metrics::leader_gauge(const std::string& partition, const std::string& shard) {
  Leading& leading = leading_[partition];
  if (leading.gauge != nullptr && leading.shard == shard) return *leading.gauge;
  if (leading.gauge != nullptr) leaders_.Remove(leading.gauge);
  leading.shard = shard;
  leading.gauge = &leaders_.Add({{"partition", keyspace::shown(partition)}, {"shard", shard}});
  return *leading.gauge;
}

void Metrics::reject(std::string_view reason) {
  rejected_.Add({{"reason", std::string(reason)}}).Increment();
}

}  // namespace canopy::broker
