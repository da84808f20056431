#include "loadtest/scenario.h"

namespace canopy::loadtest {
namespace {

struct Scenario {
  const char* name;
  const char* what;
  void (*set)(Options& options);
};

constexpr Scenario scenarios[] = {
    {"fanout-1-1k", "1 publisher, 1,000 subscribers, 1 update/s",
     [](Options& o) {
       o.clients = 1000;
       o.publishers = 1;
       o.period_ms = 1000;
       o.payload_bytes = 16;
     }},
    {"fanout-5-1000-5-250K", "5 publishers, 1,000 subscribers, 250,000 deliveries/s of 16 bytes",
     [](Options& o) {
       o.clients = 1000;
       o.publishers = 5;
       o.period_ms = 20;
       o.payload_bytes = 16;
     }},
    {"flood", "20 publishers, each with 4 updates in flight",
     [](Options& o) {
       o.publishers = 20;
       o.window = 4;
       o.period_ms = 1000;
     }},
    {"join-storm", "all clients join at once over 10,000 loaded keys; no client publishes",
     [](Options& o) {
       o.publishers = 0;
       o.keys_loaded = 10'000;
       o.rate = 1e6;
       o.duration_s = 1;
       o.join_timeout_s = 60;
     }},
};

}  // namespace

bool set_scenario(const std::string& name, Options& options) {
  for (const Scenario& scenario : scenarios) {
    if (name != scenario.name) continue;
    options.scenario = name;
    scenario.set(options);
    return true;
  }
  return false;
}

std::string scenario_help() {
  std::string text = "Scenarios, whose defaults other options override:\n";
  for (const Scenario& scenario : scenarios) {
    const std::string name = scenario.name;
    text += "  " + name + std::string(name.size() < 22 ? 22 - name.size() : 1, ' ') +
            scenario.what + '\n';
  }
  return text;
}

}  // namespace canopy::loadtest
