// canopy-proxy: clients connect to it.
#include <csignal>
#include <cstdio>

#include "core/base/log.h"
#include "core/base/uncaught.h"
#include "core/config/program.h"
#include "core/metrics/health.h"
#include "core/net/service.h"
#include "core/net/signals.h"
#include "proxy/node.h"

int main(int argc, char** argv) {
  using namespace canopy;
  base::report_uncaught("canopy-proxy");
  auto command = config::parse_command_line(config::Role::proxy, argc, argv);
  if (const int* code = std::get_if<int>(&command)) return *code;
  auto& start = std::get<config::Start>(command);
  if (start.health) {  // a full proxy is healthy
    return metrics::tell_health(start.cluster.find_proxy(start.name)->http, {"clients"});
  }
  const config::Cluster& cluster = start.cluster;

  base::log::configure("proxy/" + start.name, base::log::to_level(cluster.log_level),
                       base::log::to_format(cluster.log_format));
  net::prefer_throughput();
  net::Signals signals{SIGTERM, SIGINT, SIGHUP};

  const base::SystemClock clock;
  net::Loop loop(clock);
  auto node = proxy::Node::start(cluster, *cluster.find_proxy(start.name), loop);
  if (!node) {
    std::fprintf(stderr, "canopy-proxy: %s\n", node.error().c_str());
    return 1;
  }
  net::Service service(loop, [&] { return (*node)->summary(); });
  signals.attach(loop, [&](int signal) {
    if (signal == SIGHUP) return service.reload([&] { (*node)->reload(start); });
    service.stopping();
    (*node)->drain([&loop] { loop.stop(); });
  });
  loop.run();
  (*node)->finish();
  return 0;
}
