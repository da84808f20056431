// canopy-broker: the directory of a cluster, the supervisor of its processes on this machine, and
// their HTTP server.
#include <csignal>
#include <cstdio>

#include "broker/node.h"
#include "core/base/uncaught.h"
#include "core/config/program.h"
#include "core/metrics/health.h"
#include "core/net/service.h"
#include "core/net/signals.h"

using namespace canopy;

int main(int argc, char** argv) {
  base::report_uncaught("canopy-broker");
  auto command = config::parse_command_line(config::Role::broker, argc, argv);
  if (const int* code = std::get_if<int>(&command)) return *code;
  auto& start = std::get<config::Start>(command);
  // The other processes wait until the broker is healthy: its health must not depend on them.
  if (start.health)
    return metrics::tell_health(start.cluster.broker.http, {"shard/", "proxy/", "partition/"});
  const config::Cluster& cluster = start.cluster;
  base::log::configure("broker", base::log::to_level(cluster.log_level),
                       base::log::to_format(cluster.log_format));

  net::prefer_throughput();
  net::Signals signals{SIGTERM, SIGINT, SIGHUP, SIGCHLD};
  const base::SystemClock clock;
  net::Loop loop(clock);
  auto node =
      broker::Node::start(start, broker::own_directory(), loop, [](const std::string& text) {
        std::fputs(text.c_str(), stdout);
        std::fflush(stdout);
      });
  if (!node) {
    std::fprintf(stderr, "canopy-broker: %s\n", node.error().c_str());
    return 1;
  }
  net::Service service(loop, [&] { return (*node)->summary(); });
  signals.attach(loop, [&](int signal) {
    if (signal == SIGHUP) return service.reload([&] { (*node)->on_signal(signal); });
    if (signal != SIGCHLD) service.stopping();
    (*node)->on_signal(signal);
  });
  loop.run();
  return 0;
}
