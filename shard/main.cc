// canopy-shard: serves partitions of the key tree.
#include <csignal>
#include <cstdio>

#include "core/base/log.h"
#include "core/base/uncaught.h"
#include "core/config/program.h"
#include "core/metrics/health.h"
#include "core/net/service.h"
#include "core/net/signals.h"
#include "shard/node.h"

namespace {

using namespace canopy;

int fail(const std::string& why) {
  std::fprintf(stderr, "canopy-shard: %s\n", why.c_str());
  return 1;
}

int restore(const std::string& directory, const std::string& backup) {
  const auto status = shard::restore_store(directory, backup);
  if (!status) return fail(status.error());
  std::printf("%s/store\n", directory.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  base::report_uncaught("canopy-shard");
  auto command = config::parse_command_line(config::Role::shard, argc, argv);
  if (const int* code = std::get_if<int>(&command)) return *code;
  auto& start = std::get<config::Start>(command);
  if (start.health) return metrics::tell_health(start.cluster.find_shard(start.name)->http);
  const config::Cluster& cluster = start.cluster;
  const config::Shard& shard = *cluster.find_shard(start.name);
  const std::string directory = cluster.state_dir + "/" + start.name;
  if (!start.restore.empty()) return restore(directory, start.restore);

  base::log::configure("shard/" + start.name, base::log::to_level(cluster.log_level),
                       base::log::to_format(cluster.log_format));
  net::prefer_throughput();
  net::Signals signals{SIGTERM, SIGINT, SIGHUP};

  auto holdings = shard::open_holdings(cluster, start.name, directory);
  if (!holdings) return fail(holdings.error());

  const base::SystemClock clock;
  net::Loop loop(clock);
  auto node = shard::Node::start(cluster, shard, std::move(*holdings), loop);
  if (!node) return fail(node.error());
  net::Service service(loop, [&] { return (*node)->summary(); });
  signals.attach(loop, [&](int signal) {
    if (signal == SIGHUP) return service.reload([&] { (*node)->reload(start); });
    service.stopping();
    loop.stop();
  });
  loop.run();
  (*node)->drain();
  return 0;
}
