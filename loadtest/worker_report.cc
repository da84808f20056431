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
  faults += other.faults;
  latency.merge(other.latency);
  join.merge(other.join);
  unite(hearing, other.hearing);
  unite(heard, other.heard);
}

nlohmann::json to_json(const WorkerReport& r) {
  return {{"sent", r.sent},
          {"blocked_sends", r.blocked_sends},
          {"delivered", r.delivered},
          {"window_s", r.window_s},
          {"window_sent", r.window_sent},
          {"window_delivered", r.window_delivered},
          {"joins", r.joins},
          {"rejoins", r.rejoins},
          {"converged", r.converged},
          {"losing", r.losing},
          {"lost", r.faults.lost},
          {"lost_at_join", r.faults.lost_at_join},
          {"repeated", r.faults.repeated},
          {"out_of_order", r.faults.out_of_order},
          {"corrupted", r.faults.corrupted},
          {"latency", r.latency.to_json()},
          {"join", r.join.to_json()},
          {"hearing", r.hearing},
          {"heard", r.heard}};
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
  json.at("lost").get_to(r.faults.lost);
  json.at("lost_at_join").get_to(r.faults.lost_at_join);
  json.at("repeated").get_to(r.faults.repeated);
  json.at("out_of_order").get_to(r.faults.out_of_order);
  json.at("corrupted").get_to(r.faults.corrupted);
  r.latency = Histogram::from_json(json.at("latency"));
  r.join = Histogram::from_json(json.at("join"));
  json.at("hearing").get_to(r.hearing);
  json.at("heard").get_to(r.heard);
  return r;
}

std::uint64_t count_served(const WorkerReport& merged, const std::vector<std::uint32_t>& expected) {
  return static_cast<std::uint64_t>(
      std::count_if(merged.hearing.begin(), merged.hearing.end(), [&](std::uint32_t client) {
        return expected[client] == 0 ||
               std::binary_search(merged.heard.begin(), merged.heard.end(), client);
      }));
}

}  // namespace canopy::loadtest
