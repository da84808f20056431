// The node's reports: the HTTP documents, the metrics of members, and the text when all is ready.
#include "broker/node.h"
#include "broker/status.h"
#include "core/base/text.h"
#include "core/metrics/descriptors.h"
#include "core/metrics/http_get.h"

namespace canopy::broker {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration start_timeout = 10s;
// Above the second that a proxy waits for its own loop.
constexpr std::chrono::milliseconds proxy_timeout = 1500ms;

}  // namespace

std::string Node::summary() const {
  metrics::Checks checks = readiness(cluster_, members_);
  std::erase_if(checks, [](const auto& check) { return check.first.starts_with("partition/"); });
  const auto ready =
      std::ranges::count_if(checks, [](const auto& check) { return check.second.empty(); });
  return std::to_string(ready) + " of " + std::to_string(checks.size()) + " processes ready";
}

// Passes on the client list of a proxy: a browser may reach only the broker.
void Node::serve_clients() {
  std::map<std::string, std::string> addresses;
  for (const auto& [name, member] : members_.proxies) addresses[name] = member.http;
  http_->serve("/api/v1/clients/", [addresses = std::move(addresses)](const std::string& name) {
    const auto found = addresses.find(name);
    if (found == addresses.end()) return metrics::http_error(404, "no proxy " + name);
    auto answer = metrics::http_get(found->second, "/api/v1/clients", proxy_timeout);
    if (!answer) return metrics::http_error(503, answer.error());
    return metrics::HttpDocument{.status = answer->status, .body = std::move(answer->body)};
  });
}

void Node::publish() {
  serve_clients();
  http_->publish("/api/v1/topology", topology_json(cluster_, members_, self_));
  http_->publish("/api/v1/sd", targets_json(cluster_, members_, self_));
  metrics::Checks checks = readiness(cluster_, members_);
  if (const std::string& why = directory_->directory().failure(); !why.empty()) {
    checks["state_dir"] = why;
  }
  if (stopping_) checks["broker"] = "stopping";
  http_->set_ready(checks);
  metrics_.set_members(count_states(cluster_, members_));
  metrics_.set_process_up(presence(cluster_, members_));
  metrics_.set_leaders(partition_statuses(cluster_, members_));
  publish_status();
}

void Node::publish_status() {
  status_published_ = loop_.now();
  const Moment moment{.now = status_published_,
                      .started = started_,
                      .fds = metrics::open_fds(),
                      .max_fds = metrics::max_fds(),
                      .stopping = stopping_};
  http_->publish("/api/v1/status", status_json(cluster_, members_, self_, vitals_, moment));
}

// Prints the addresses once the cluster is ready. After start_timeout, logs what is missing.
void Node::announce_ready(const metrics::Checks& checks) {
  std::vector<std::string> missing;
  for (const auto& [process, why] : checks) {
    if (!why.empty()) missing.push_back(process + " is " + why);
  }
  if (missing.empty()) {
    announced_ready_ = true;
    print_(ready_text(cluster_, members_, self_));
  } else if (!warned_ && loop_.now() - started_ > start_timeout) {
    warned_ = true;
    base::log::warn("node", "the cluster is not complete yet",
                    {{"missing", base::joined(missing)}});
  }
}

}  // namespace canopy::broker
