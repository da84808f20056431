#include "loadtest/own_cluster.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <thread>
#include <utility>

#include "core/keys/key_file.h"
#include "core/metrics/http_get.h"
#include "loadtest/measure/clock.h"
#include "loadtest/worker_pool.h"

namespace canopy::loadtest {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t start_timeout_us = 30'000'000;
constexpr std::chrono::seconds stop_grace(15);

}  // namespace

base::Result<Topology> wait_until_ready(const std::string& broker, measure::Child* process) {
  std::string last = "not ready";
  for (const std::int64_t deadline = measure::now_us() + start_timeout_us;
       measure::now_us() < deadline;) {
    if (interrupted()) return base::Error{"interrupted"};
    if (process != nullptr && !process->running()) return base::Error{"the broker has stopped"};
    const auto ready = metrics::http_get(broker, "/readyz");
    if (ready && ready->status == 200) {
      auto topology = fetch_topology(broker);
      if (topology && topology->ready()) return topology;
      last = topology ? "not all proxies are ready" : topology.error();
    } else if (!ready && process == nullptr) {
      return base::Error{ready.error()};
    } else {
      last = ready ? "/readyz answers " + ready->body : ready.error();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return base::Error{"the cluster at " + broker + " is not ready: " + last};
}

OwnCluster::OwnCluster(OwnCluster&& other) noexcept { *this = std::move(other); }

OwnCluster& OwnCluster::operator=(OwnCluster&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(broker_, other.broker_);
  std::swap(keys_, other.keys_);
  return *this;
}

OwnCluster::~OwnCluster() {
  broker_.stop(stop_grace);
  std::error_code ignored;
  if (!directory_.empty()) fs::remove_all(directory_, ignored);
}

base::Result<std::string> OwnCluster::secure(const std::string& config) {
  std::ifstream original(config);
  if (!original) return base::Error{config + ": " + std::strerror(errno)};
  const access::KeyPair server = access::make_key_pair();
  keys_ = {.server_key = server.public_key, .own = access::make_key_pair()};
  if (auto written = keys::write_key_files(directory_, "cluster", server); !written) {
    return base::Error{written.error()};
  }
  const std::string path = directory_ / "cluster.yaml";
  std::ofstream secured(path);
  secured << original.rdbuf() << "\nsecurity:\n  server_key: " << directory_ / "cluster.key_secret"
          << "\n  clients: [{name: loadtest, public_key: \"" << keys_->own.public_key
          << "\", read: [\"*\"], write: [\"*\"]}]\n";
  return secured.flush() ? base::Result<std::string>(path)
                         : base::Error{path + ": " + std::strerror(errno)};
}

base::Result<OwnCluster> OwnCluster::start(const std::string& config, const std::string& http,
                                           bool security) {
  std::error_code failed;
  const fs::path program =
      fs::read_symlink("/proc/self/exe", failed).parent_path() / "canopy-broker";
  if (!fs::exists(program, failed)) return base::Error{"there is no " + program.string()};

  std::string directory = (fs::temp_directory_path(failed) / "canopy-loadtest-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return base::Error{"cannot create " + directory + ": " + std::strerror(errno)};
  }
  OwnCluster cluster;
  cluster.directory_ = directory;
  auto file = security ? cluster.secure(config) : config;
  if (!file) return base::Error{file.error()};
  auto broker = measure::Child::start(
      {program.string(), "--config", *file, "--state-dir", (cluster.directory_ / "state").string()},
      (cluster.directory_ / "log").string());
  if (!broker) return base::Error{broker.error()};
  cluster.broker_ = std::move(*broker);
  const auto ready = wait_until_ready(http, &cluster.broker_);
  if (!ready) return base::Error{ready.error() + cluster.log_tail()};
  return cluster;
}

std::string OwnCluster::log_tail() const {
  std::ifstream log(directory_ / "log");
  std::deque<std::string> lines;
  for (std::string line; std::getline(log, line);) {
    lines.push_back(line);
    if (lines.size() > 10) lines.pop_front();
  }
  std::string text;
  for (const auto& line : lines) text += "\n  " + line;
  return text;
}

}  // namespace canopy::loadtest
