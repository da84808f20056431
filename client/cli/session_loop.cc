#include "client/cli/session_loop.h"

#include <random>

#include "client/cli/call.h"

namespace canopy::client::cli {
namespace {

namespace native = wire::native;

// A running broker answers sooner.
constexpr base::Duration broker_timeout = std::chrono::milliseconds(500);

Settings settings_for(const std::vector<std::string>& brokers) {
  std::random_device random;
  Settings settings{.brokers = brokers, .name = "canopy", .seed = random()};
  while (settings.client.size() < native::client_id_bytes) {
    settings.client += static_cast<char>(random());
  }
  return settings;
}

}  // namespace

SessionLoop::SessionLoop(Cluster cluster, Events& events)
    : cluster_(std::move(cluster)),
      sockets_(server_, session_, cluster_.keys),
      session_(settings_for(cluster_.brokers), sockets_, events) {}

void SessionLoop::run() {
  sockets_.start();
  loop_.run();
}

std::string SessionLoop::standstill() const {
  if (session_.linked()) {
    const Target& target = session_.target();
    return "no answer through the proxy " + target.name + " at " + target.endpoint;
  }
  const native::Directory question{.request = 1, .prefix = "proxies/"};
  const auto answer = ask_brokers(cluster_, native::encode(question), broker_timeout);
  return answer ? "the cluster has no proxy that takes clients" : answer.error();
}

}  // namespace canopy::client::cli
