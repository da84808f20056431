#include "loadtest/worker_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace canopy::loadtest {
namespace {

void unite(std::vector<std::uint32_t>& into, const std::vector<std::uint32_t>& other) {
  into.insert(into.end(), other.begin(), other.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

struct FaultName {
  const char* name;
  std::uint64_t Faults::*count;
};
constexpr FaultName fault_names[] = {
    {"lost", &Faults::lost},
    {"lost_at_join", &Faults::lost_at_join},
    {"incomplete", &Faults::incomplete},
    {"repeated", &Faults::repeated},
    {"out_of_order", &Faults::out_of_order},
    {"unfiltered", &Faults::unfiltered},
    {"misapplied", &Faults::misapplied},
    {"corrupted", &Faults::corrupted},
};

}  // namespace

void WorkerReport::merge(const WorkerReport& other) {
  sent += other.sent;
  blocked_sends += other.blocked_sends;
  delivered += other.delivered;
  window_s = std::max(window_s, other.window_s);
  window_sent += other.window_sent;
  window_delivered += other.window_delivered;
  joins += other.joins;
  rejoins += other.rejoins;
  converged += other.converged;
  losing += other.losing;
  all_joined_us = std::max(all_joined_us, other.all_joined_us);
  faults += other.faults;
  for (const auto& [name, count] : stat_names) stats.*count += other.stats.*count;
  latency.merge(other.latency);
  join.merge(other.join);
  write.merge(other.write);
  unite(receivers, other.receivers);
  unite(senders, other.senders);
}

nlohmann::json to_json(const WorkerReport& r) {
  nlohmann::json json{{"sent", r.sent},
                      {"blocked_sends", r.blocked_sends},
                      {"delivered", r.delivered},
                      {"window_s", r.window_s},
                      {"window_sent", r.window_sent},
                      {"window_delivered", r.window_delivered},
                      {"joins", r.joins},
                      {"rejoins", r.rejoins},
                      {"converged", r.converged},
                      {"losing", r.losing},
                      {"all_joined_us", r.all_joined_us},
                      {"latency", r.latency.to_json()},
                      {"join", r.join.to_json()},
                      {"write", r.write.to_json()},
                      {"receivers", r.receivers},
                      {"senders", r.senders}};
  for (const auto& [name, count] : fault_names) json["faults"][name] = r.faults.*count;
  for (const auto& [name, count] : stat_names) json["client_stats"][name] = r.stats.*count;
  return json;
}

WorkerReport parse_worker_report(const nlohmann::json& json) {
  WorkerReport r;
  json.at("sent").get_to(r.sent);
  json.at("blocked_sends").get_to(r.blocked_sends);
  json.at("delivered").get_to(r.delivered);
  json.at("window_s").get_to(r.window_s);
  json.at("window_sent").get_to(r.window_sent);
  json.at("window_delivered").get_to(r.window_delivered);
  json.at("joins").get_to(r.joins);
  json.at("rejoins").get_to(r.rejoins);
  json.at("converged").get_to(r.converged);
  json.at("losing").get_to(r.losing);
  json.at("all_joined_us").get_to(r.all_joined_us);
  for (const auto& [name, count] : fault_names) json.at("faults").at(name).get_to(r.faults.*count);
  for (const auto& [name, count] : stat_names)
    json.at("client_stats").at(name).get_to(r.stats.*count);
  r.latency = measure::Histogram::from_json(json.at("latency"));
  r.join = measure::Histogram::from_json(json.at("join"));
  r.write = measure::Histogram::from_json(json.at("write"));
  json.at("receivers").get_to(r.receivers);
  json.at("senders").get_to(r.senders);
  return r;
}

std::uint64_t count_served(const WorkerReport& merged,
                           const std::vector<std::uint32_t>& published) {
  return static_cast<std::uint64_t>(
      std::count_if(merged.receivers.begin(), merged.receivers.end(), [&](std::uint32_t client) {
        return client >= published.size() || published[client] == 0 ||
               std::binary_search(merged.senders.begin(), merged.senders.end(), client);
      }));
}

}  // namespace canopy::loadtest
