// canopy-broker: the directory of a cluster, the supervisor of its processes on this machine, and
// the HTTP side of both.
#include <csignal>
#include <cstdio>

#include "broker/node.h"
#include "core/config/program.h"
#include "core/net/signals.h"

using namespace canopy;

int main(int argc, char** argv) {
  const auto command = config::parse_command_line(config::Role::broker, argc, argv);
  if (const int* code = std::get_if<int>(&command)) return *code;
  const config::Cluster& cluster = std::get<config::Start>(command).cluster;
  base::log::configure("broker", base::log::to_level(cluster.log_level),
                       base::log::to_format(cluster.log_format));

  net::Signals signals{SIGTERM, SIGINT, SIGHUP, SIGCHLD};
  const base::SystemClock clock;
  net::Loop loop(clock);
  auto node =
      broker::Node::start(cluster, broker::own_directory(), loop, [](const std::string& text) {
        std::fputs(text.c_str(), stdout);
        std::fflush(stdout);
      });
  if (!node) {
    std::fprintf(stderr, "canopy-broker: %s\n", node.error().c_str());
    return 1;
  }
  signals.attach(loop, [&](int signal) { (*node)->on_signal(signal); });
  loop.run();
  return 0;
}
