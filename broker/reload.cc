#include "broker/reload.h"

#include <algorithm>

namespace canopy::broker {
namespace {

template <typename Process>
void compare(const std::string& role, const std::vector<Process>& running,
             const std::vector<Process>& wanted, std::vector<std::string>& differences) {
  const auto find = [](const std::vector<Process>& all, const std::string& name) {
    return std::ranges::find(all, name, &Process::name);
  };
  for (const Process& process : running) {
    const auto other = find(wanted, process.name);
    const bool removed = other == wanted.end();
    if (removed || *other != process) {
      differences.push_back(role + " " + process.name + (removed ? " removed" : " changed"));
    }
  }
  for (const Process& process : wanted) {
    if (find(running, process.name) == running.end()) {
      differences.push_back(role + " " + process.name + " added");
    }
  }
}

}  // namespace

std::vector<std::string> differences(const config::Cluster& running,
                                     const config::Cluster& wanted) {
  std::vector<std::string> result;
  compare<config::Broker>("broker", {running.broker}, {wanted.broker}, result);
  compare("shard", running.shards, wanted.shards, result);
  compare("proxy", running.proxies, wanted.proxies, result);
  return result;
}

}  // namespace canopy::broker
