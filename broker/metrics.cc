#include "broker/metrics.h"

namespace canopy::broker {
namespace {

using State = std::pair<std::string, std::string>;

// States that a process made up are counted as one, so that labels stay few.
const State known_states[] = {{"shard", "ready"}, {"shard", "loading"},  {"shard", "failed"},
                              {"shard", "down"},  {"proxy", "ready"},    {"proxy", "starting"},
                              {"proxy", "full"},  {"proxy", "draining"}, {"proxy", "down"},
                              {"shard", "other"}, {"proxy", "other"}};

}  // namespace

Metrics::Metrics(const std::string& name)
    : registry("broker", name),
      members_(registry.gauge("canopy_members", "Processes of the cluster, by role and state.")),
      restarts_(registry.counter("canopy_restarts_total",
                                 "Times that a process of this machine was started again.")),
      leaders_(
          registry.gauge("canopy_partition_leader", "1 for the shard that leads a partition.")),
      rejected_(
          registry.counter("canopy_rejected_total",
                           "Messages and announcements refused by the directory, by reason.")),
      lease_expirations(registry
                            .counter("canopy_lease_expirations_total",
                                     "Processes that fell silent for a lease without a goodbye.")
                            .Add({})),
      sessions(registry.gauge("canopy_sessions", "Processes that the directory knows.").Add({})) {
  for (const State& state : known_states) {
    by_state_[state] = &members_.Add({{"role", state.first}, {"state", state.second}});
  }
  for (const char* reason : {"frame_count", "malformed", "member"}) {
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

metrics::Counter& Metrics::restarts(const Program& program) {
  return restarts_.Add({{"role", program.role}, {"name", program.name}});
}

void Metrics::set_leader(const cluster::LeaderChanged& change) {
  if (const auto present = leading_.find(change.partition); present != leading_.end()) {
    leaders_.Remove(present->second);
    leading_.erase(present);
  }
  if (!change.leader) return;
  metrics::Gauge& gauge =
      leaders_.Add({{"partition", change.partition.empty() ? "*" : change.partition},
                    {"shard", *change.leader}});
  gauge.Set(1);
  leading_[change.partition] = &gauge;
}

void Metrics::reject(std::string_view reason) {
  rejected_.Add({{"reason", std::string(reason)}}).Increment();
}

}  // namespace canopy::broker
