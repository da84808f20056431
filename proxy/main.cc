// canopy-proxy: what clients connect to.
#include <csignal>
#include <cstdio>

#include "core/base/log.h"
#include "core/config/program.h"
#include "core/net/signals.h"
#include "proxy/node.h"

int main(int argc, char** argv) {
  using namespace canopy;
  const auto command = config::parse_command_line(config::Role::proxy, argc, argv);
  if (const int* code = std::get_if<int>(&command)) return *code;
  const auto& [cluster, name] = std::get<config::Start>(command);

  base::log::configure("proxy/" + name, base::log::to_level(cluster.log_level),
                       base::log::to_format(cluster.log_format));
  net::Signals signals{SIGTERM, SIGINT, SIGHUP};

  const base::SystemClock clock;
  net::Loop loop(clock);
  auto node = proxy::Node::start(cluster, *cluster.find_proxy(name), loop);
  if (!node) {
    std::fprintf(stderr, "canopy-proxy: %s\n", node.error().c_str());
    return 1;
  }
  signals.attach(loop, [&](int signal) {
    if (signal != SIGHUP) (*node)->drain([&loop] { loop.stop(); });
  });
  loop.run();
  (*node)->finish();
  return 0;
}
